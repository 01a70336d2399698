//! `oam`, the command line of OpenAgentMesh, as a function: the binary and the Python package call it.
//!
//! `cli` defines the arguments, and `commands` has one file per command. `connection` opens the
//! mesh, `input` reads inputs, `editor` lets the user edit one, `schema` explains the input of an agent, `printer` owns all
//! output, `table` lays out tables, `wrap` breaks lines, `live` prints results as they arrive, `log` prints the log,
//! `complete` answers the completion scripts of shells,
//! `transfer` shows the progress of a file, `failure` is the error type, `hint` its remedy for the command as it was typed,
//! `similar` finds the name that was meant, and `exit` the exit code.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cli;
mod commands;
mod complete;
mod connection;
mod contexts;
mod deadline;
mod editor;
mod exit;
mod failure;
mod hint;
mod input;
mod json;
mod line;
mod live;
mod log;
mod printer;
mod private_file;
mod protocol;
mod schema;
mod shell;
mod similar;
mod stdin;
mod table;
mod text;
mod transfer;
mod url_file;
mod wrap;

use std::ffi::OsString;
use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::cli::{AgentCommand, Cli, Command, MeshCommand};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::printer::Printer;

/// Runs the command line with `arguments`, of which the first is the name of the program. Returns the exit code.
///
/// Blocks until the command has ended. The function is for a process that does nothing else: it sets the log of
/// the process, a thread may still read stdin afterwards, and a second call panics.
#[must_use = "the exit code is that of the process"]
pub fn main(arguments: Vec<OsString>) -> u8 {
    if let Some(shell) = complete::requested() {
        complete::answer(shell, arguments);
        return ExitCode::SUCCESS.to_u8();
    }
    let asked = cli::requested_output(&arguments);
    let typed = arguments.clone();
    let cli = match Cli::parse_arguments(arguments) {
        Ok(cli) => cli,
        Err(error) => return Printer::new(asked).arguments(&error).to_u8(),
    };
    let printer = Printer::new(cli.global.output);
    log::init(&cli.global);
    let runtime = match runtime(&cli.command) {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::local(format!("cannot start the async runtime: {error}"));
            printer.failure(&failure);
            return failure.exit_code().to_u8();
        }
    };
    let code = runtime.block_on(run(cli, &printer, &typed));
    // A blocking thread may still wait for input on stdin; the process exits without it.
    runtime.shutdown_background();
    code.to_u8()
}

/// The number of threads of a command, next to the main one. A command mostly waits: a thread for each core would only be started.
const WORKERS: usize = 2;

/// The async runtime of a command.
///
/// A denial of the server arrives without a reference to the message. On one thread, the denial of a message without a
/// reply is known before the round trips that confirm the message have ended; on several threads it may come later.
fn runtime(command: &Command) -> io::Result<Runtime> {
    match command {
        Command::Agent(AgentCommand::Send(_)) | Command::Mesh(MeshCommand::Publish(_)) => {
            Builder::new_current_thread().enable_all().build()
        }
        _ => Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build(),
    }
}

/// The definitions of all commands and their arguments, for programs that document them.
#[must_use]
pub fn arguments() -> clap::Command {
    Cli::definitions()
}

async fn run(cli: Cli, printer: &Printer, typed: &[OsString]) -> ExitCode {
    let ended = tokio::select! {
        biased;
        () = live::interrupted() => return ExitCode::INTERRUPTED,
        ended = commands::run(cli, printer) => ended,
        refused = connection::refused() => Err(refused),
    };
    match ended {
        Ok(code) => code,
        Err(failure) => {
            let failure = hint::adapted(failure, typed);
            printer.failure(&failure);
            failure.exit_code()
        }
    }
}
