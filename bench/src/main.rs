//! Measures OpenAgentMesh against raw `async-nats` and the Python SDK, side by side in one run.
//!
//! `cases` says what there is to measure and what is expected of it, `run` measures it round by round,
//! `roles` are the processes that do the work, `measure` is what is said to them; `report` tells what
//! came of it, and `render` writes that into the documentation. `instructions` and `profile` look into one
//! of the processes while it works.
#![forbid(unsafe_code)]

mod cases;
mod instructions;
mod measure;
mod profile;
mod programs;
mod render;
mod report;
mod roles;
mod run;
mod traffic;
mod watched;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime;

use crate::cases::{Case, Effort};
use crate::report::Report;
use crate::roles::Role;
use crate::run::{Plan, Size};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// What the documentation is rendered from.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results.json");

/// Measures OpenAgentMesh against raw async-nats and the Python SDK, side by side on private servers.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    /// Run less and for a shorter time: the cases that take a moment, with fewer messages, 3 rounds
    #[arg(long)]
    quick: bool,
    /// Run what takes minutes too: large files, builds. It is done once, not in every round
    #[arg(long, conflicts_with = "quick")]
    slow: bool,
    /// Run only the cases and rows that have NAME in their name, however long they take
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often everything is measured: 5 times, at least 3, unless there are only some cases
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Leave out the Python SDK, whose environment is made in the target directory otherwise
    #[arg(long)]
    without_python: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Where JSON is written: bench/results.json, with what is there of cases that were not run now;
    /// target/bench/quick.json if it is quick; nowhere if there are only some cases
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Do so little that the times mean nothing, for the tests
    #[arg(long, hide = true)]
    tiny: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Names the cases
    List,
    /// Writes what bench/results.json says into the README and the book
    Render,
    /// Counts the instructions of the hot paths, and compares them to bench/instructions.json
    Instructions(instructions::Plan),
    /// Draws flame graphs of a caller and of its host
    Profile(profile::Plan),
    /// What the bench starts itself as
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
        eprintln!("this is a debug build, whose times mean little: use cargo run --release");
    }
    let plan = plan(cli)?;
    let mut report = run::run(&plan).await?;
    print(&report, cli.json)?;
    let output = match &cli.output {
        Some(path) => Some(path.clone()),
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
        (true, _) => Effort::Moment,
        (_, true) => Effort::Minutes,
        _ => Effort::While,
    };
    let is_chosen = |case: &&Case| match &cli.only[..] {
        [] => case.effort <= efforts,
        names => names.iter().any(|name| case.is_called(name)),
    };
    let cases: Vec<&Case> = cases::all().filter(is_chosen).collect();
    if cases.is_empty() {
        return Err("no case has such a name; `bench list` names all of them".into());
    }
    let fewest = if cli.only.is_empty() && !cli.tiny {
        3
    } else {
        1
    };
    let rounds = cli.rounds.unwrap_or(if cli.quick { 3 } else { 5 });
    if rounds < fewest {
        return Err(format!("--rounds {rounds}: a median needs at least {fewest}").into());
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
    Ok(())
}
