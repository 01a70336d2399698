//! Measures OpenAgentMesh against raw `async-nats`, and the Python SDK if asked for, in one run.
//!
//! `measure` says what is measured and in which order, `scale` the same where there is much of
//! something, `roles` are the processes that do it, `report` tells what came of it.
#![forbid(unsafe_code)]

mod measure;
mod report;
mod roles;
mod scale;
mod traffic;

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
    #[arg(long, value_name = "N", default_value = "5", global = true)]
    rounds: NonZeroU32,
    /// Messages per measurement, instead of as many as take a moment
    #[arg(long, value_name = "N")]
    messages: Option<NonZeroU32>,
    /// Measure the published Python SDK too; its environment is made in the target directory
    #[arg(long, global = true)]
    with_python: bool,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures many agents, and large files
    Scale {
        /// How many agents are registered
        #[arg(long, value_name = "N", default_value = "1000")]
        agents: NonZeroU32,
        /// How many processes share them, where several register at once
        #[arg(long, value_name = "N", default_value = "8")]
        processes: NonZeroU32,
        /// How many agents there are on the mesh to which one more comes
        #[arg(long, value_name = "N", default_value = "5000")]
        crowd: NonZeroU32,
        /// How large the content is that is put and got, in MiB
        #[arg(long, value_name = "N", default_value = "64")]
        mebibytes: NonZeroU32,
        /// Measure a file that does not fit into the memory that it may take, too: 1 GiB, which is on
        /// disk three times then, unless told otherwise
        #[arg(
            long,
            value_name = "MIB",
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "1024"
        )]
        large: Option<NonZeroU32>,
    },
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
    if let Some(Command::Role { role, url }) = cli.command {
        return roles::run(role, &url).await;
    }
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build, whose times mean little: use cargo run --release");
    }
    let report = if let Some(Command::Scale {
        agents,
        processes,
        crowd,
        mebibytes,
        large,
    }) = cli.command
    {
        let plan = scale::Plan {
            rounds: cli.rounds.get(),
            with_python: cli.with_python,
            agents: agents.get(),
            processes: processes.get(),
            crowd: crowd.get(),
            mebibytes: mebibytes.get(),
            large: large.map(NonZeroU32::get),
        };
        scale::run(&plan).await?
    } else {
        let plan = Plan {
            rounds: cli.rounds.get(),
            messages: cli.messages.map(NonZeroU32::get),
            with_python: cli.with_python,
        };
        measure::run(&plan).await?
    };
    report::print(&report, cli.json)
}
