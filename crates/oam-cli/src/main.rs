//! `oam`, the command line of OpenAgentMesh.
//!
//! `cli` says what can be typed, `commands` has a file for each command, `printer` owns what is
//! printed, `live` prints what comes bit by bit, `transfer` shows how far a file has come, and
//! `failure` is what goes wrong.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cli;
mod commands;
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
    trace();
    let printer = Printer::new();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::here(format!("no threads can be started: {error}"));
            printer.failure(&failure);
            return failure.exit_code();
        }
    };
    let code = runtime.block_on(run(cli, &printer));
    // A pipe that gives nothing may still be read, by a thread that nobody waits for any more.
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

/// What the libraries have to say goes to stderr: warnings, or what `RUST_LOG` asks for. The client of
/// NATS is left out, because its errors come back as errors of the command.
fn trace() {
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
