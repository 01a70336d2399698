//! `oam`, the command line of OpenAgentMesh.
//!
//! `cli` defines the arguments, and `commands` has one file per command. `connection` opens the
//! mesh, `printer` owns all output, `live` prints results as they arrive, `transfer` shows the
//! progress of a file, and `failure` is the error type.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cli;
mod commands;
mod connection;
mod failure;
mod json;
mod live;
mod printer;
mod shell;
mod stdin;
mod text;
mod transfer;
mod url_file;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::printer::Printer;

fn main() -> ExitCode {
    let cli = Cli::parse();
    init_tracing();
    let printer = Printer::new();
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

/// Logs go to stderr: warnings, or the levels that `RUST_LOG` sets. The NATS client is off by
/// default, because its errors come back as errors of the command.
fn init_tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("error,async_nats=off,openagentmesh=warn,openagentmesh_local=warn")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
}
