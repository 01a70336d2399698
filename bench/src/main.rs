//! Measures OpenAgentMesh against raw `async-nats`, and the Python SDK if asked for, in one run.
//!
//! `measure` says what is measured and in which order, `roles` are the processes that do it,
//! `report` tells what came of it.
#![forbid(unsafe_code)]

mod measure;
mod report;
mod roles;

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::measure::Plan;
use crate::roles::Role;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// Measures OpenAgentMesh against raw async-nats, side by side on one private nats-server.
#[derive(Debug, Parser)]
struct Cli {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroU32,
    /// Messages per measurement, instead of as many as take a moment
    #[arg(long, value_name = "N")]
    messages: Option<NonZeroU32>,
    /// Measure the published Python SDK too; its environment is made in the target directory
    #[arg(long)]
    with_python: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    role: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the bench starts itself as
    #[command(hide = true)]
    Role { role: Role, url: String },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    if let Some(Command::Role { role, url }) = cli.role {
        return roles::run(role, &url).await;
    }
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build, whose times mean little: use cargo run --release");
    }
    let plan = Plan {
        rounds: cli.rounds.get(),
        messages: cli.messages.map(NonZeroU32::get),
        with_python: cli.with_python,
    };
    let report = measure::run(&plan).await?;
    report::print(&report, cli.json)
}
