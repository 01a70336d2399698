//! Measures OpenAgentMesh against raw `async-nats` and the Python SDK, side by side in one run.
//!
//! `cases` defines the measurements and their targets, `run` runs them round by round, `roles` are the
//! processes that do the work, and `measure` has their messages. `report` has the results, and `render`
//! writes them into the documentation. `instructions` and `profile` run a process under another tool.
#![forbid(unsafe_code)]

mod cases;
mod error;
mod instructions;
mod instrumented;
mod measure;
mod profile;
mod programs;
mod render;
mod report;
mod roles;
mod run;
mod traffic;
mod unit;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime;

use crate::cases::{Case, Effort};
use crate::error::{Error, Result};
use crate::programs::RESULTS;
use crate::report::Report;
use crate::roles::Role;
use crate::run::{OtherBuild, Plan, Size};

/// Measures OpenAgentMesh against raw async-nats and the Python SDK, side by side on private servers.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    /// Run only the short cases, with fewer messages, in 3 rounds
    #[arg(long)]
    quick: bool,
    /// Also run the cases of minutes, once each: large files, builds
    #[arg(long, conflicts_with = "quick")]
    slow: bool,
    /// Run only the cases with NAME in their name or in the name of a row, of any duration
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Number of rounds [default: 5, with --quick 3]; at least 3, unless --only is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Leave out the Python SDK, whose environment is otherwise created in the target directory
    #[arg(long)]
    without_python: bool,
    /// Also run another build of this SDK, whose programs are in DIR, and compare it to this one
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// The name of the other build in the tables
    #[arg(
        long,
        value_name = "NAME",
        default_value = "other",
        requires = "against"
    )]
    against_name: String,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Where to write JSON [default: bench/results.json, which keeps the other cases;
    /// target/bench/quick.json with --quick; nowhere with --only or --against]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Do the minimum of work, for the tests: the durations mean nothing
    #[arg(long, hide = true)]
    tiny: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the names of the cases
    List,
    /// Render bench/results.json into the README and the book
    Render,
    /// Count the instructions of the hot paths, and compare them to bench/instructions.json
    Instructions(instructions::Plan),
    /// Draw flame graphs of a caller and of its host
    Profile(profile::Plan),
    /// Play a role; the bench starts itself this way
    #[command(hide = true)]
    Role { role: Role, url: String },
}

fn main() -> ExitCode {
    let mut runtime = match std::env::var_os(roles::ONE_THREAD) {
        Some(_) => runtime::Builder::new_current_thread(),
        None => runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build().map_err(Error::from);
    match runtime.and_then(|runtime| runtime.block_on(run(Cli::parse()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Some(Command::Role { role, url }) => roles::run(role, &url).await,
        Some(Command::Render) => render::write(&Report::read(Path::new(RESULTS))?),
        Some(Command::List) => list(),
        Some(Command::Instructions(plan)) => instructions::run(&plan).await,
        Some(Command::Profile(plan)) => profile::run(&plan).await,
        None => measure(&cli).await,
    }
}

async fn measure(cli: &Cli) -> Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build, whose durations mean little: use cargo run --release");
    }
    let plan = plan(cli)?;
    let mut report = run::run(&plan).await?;
    print(&report, cli.json)?;
    let output = match &cli.output {
        Some(path) => Some(path.clone()),
        None if cli.against.is_some() => None,
        None if cli.quick => Some(programs::target()?.join("bench").join("quick.json")),
        None if cli.only.is_empty() && !cli.tiny => Some(RESULTS.into()),
        None => None,
    };
    let Some(output) = output else {
        return Ok(());
    };
    if let Some(directory) = output.parent() {
        std::fs::create_dir_all(directory)?;
    }
    report.write(&output)?;
    eprintln!("written: {}", output.display());
    if output.canonicalize()? == Path::new(RESULTS).canonicalize()? {
        render::write(&report)?;
    }
    Ok(())
}

fn plan(cli: &Cli) -> Result<Plan> {
    let efforts = match (cli.quick, cli.slow) {
        (true, _) => Effort::Second,
        (_, true) => Effort::Minutes,
        _ => Effort::Once,
    };
    let is_chosen = |case: &&Case| match &cli.only[..] {
        [] => case.effort <= efforts,
        names => names.iter().any(|name| case.matches(name)),
    };
    let cases: Vec<&Case> = cases::all().filter(is_chosen).collect();
    if cases.is_empty() {
        return Err("no case matches --only; `bench list` prints all cases".into());
    }
    let fewest = if cli.only.is_empty() && !cli.tiny {
        3
    } else {
        1
    };
    let rounds = cli.rounds.unwrap_or(if cli.quick { 3 } else { 5 });
    if rounds < fewest {
        return Err(format!("invalid --rounds {rounds}: a median needs at least {fewest}").into());
    }
    Ok(Plan {
        cases,
        rounds,
        size: match (cli.tiny, cli.quick) {
            (true, _) => Size::Tiny,
            (_, true) => Size::Quick,
            _ => Size::Full,
        },
        with_python: !cli.without_python,
        against: cli.against.clone().map(|directory| OtherBuild {
            name: cli.against_name.clone(),
            directory,
        }),
    })
}

fn list() -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    for case in cases::all() {
        writeln!(stdout, "{}", case.name)?;
    }
    Ok(())
}

fn print(report: &Report, json: bool) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut stdout, report)?;
        writeln!(stdout)?;
        return Ok(());
    }
    writeln!(
        stdout,
        "{}\n\n{}\n\n{}",
        report.setting(),
        report::values(report),
        report::targets(report)
    )?;
    if let Some(ablation) = report::ablation(report) {
        writeln!(stdout, "\n{ablation}")?;
    }
    Ok(())
}
