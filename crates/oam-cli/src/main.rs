//! `oam`, the command line of OpenAgentMesh.
//!
//! `cli` defines the arguments, and `commands` has one file per command. `connection` opens the
//! mesh, `printer` owns all output, `live` prints results as they arrive, `log` prints the log,
//! `transfer` shows the progress of a file, and `failure` is the error type.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cli;
mod commands;
mod connection;
mod deadline;
mod failure;
mod json;
mod line;
mod live;
mod log;
mod printer;
mod shell;
mod stdin;
mod text;
mod transfer;
mod url_file;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::printer::Printer;

fn main() -> ExitCode {
    let printer = Printer::new();
    let cli = match Cli::from_process() {
        Ok(cli) => cli,
        Err(error) => return printer.arguments(&error),
    };
    log::init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::local(format!("cannot start the async runtime: {error}"));
            printer.failure(&failure);
            return failure.exit_code();
        }
    };
    let code = runtime.block_on(run(cli, &printer));
    // A blocking thread may still wait for input on stdin; the process exits without it.
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli, printer: &Printer) -> ExitCode {
    match commands::run(cli, printer).await {
        Ok(code) => code,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit_code()
        }
    }
}
