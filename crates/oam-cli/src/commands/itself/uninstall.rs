//! `oam self uninstall`.

use std::io::{self, BufRead, IsTerminal, Write};

use indicatif::HumanBytes;
use openagentmesh_local::DetachedServer;
use serde::Serialize;

use super::files::{Installation, Kept, Removal};
use super::program::{Outcome, Program};
use crate::cli::SelfUninstall;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::on_one_line;
use crate::{shell, stdin};

/// Everything that the command has done, for programs.
#[derive(Debug, Serialize)]
struct Report {
    removed: Vec<Removal>,
    kept: Vec<Kept>,
    stopped: Vec<String>,
    program: Outcome,
}

/// `program` is the name by which `oam` was started.
pub(crate) async fn run(
    arguments: SelfUninstall,
    program: &str,
    printer: &Printer,
) -> Result<(), Failure> {
    let program = Program::find(program)?;
    let Some(installation) = Installation::find()? else {
        return without_files(&arguments, program, printer).await;
    };
    let running = match installation.directory().join("mesh").is_dir() {
        true => DetachedServer::list().await?,
        false => Vec::new(),
    };
    if !arguments.force && !running.is_empty() {
        return Err(in_use(&running));
    }
    let kept = installation.kept()?;
    let removed = installation.removals(&kept)?;
    if !printer.is_json() {
        announce(&removed, &kept, &running, printer)?;
        announce_program(&program, printer)?;
    }
    confirm(&arguments, printer).await?;

    let mut stopped = Vec::new();
    for server in &running {
        server.stop().await?;
        stopped.push(server.url().to_owned());
    }
    installation.remove(&kept)?;
    let report = Report {
        removed,
        kept,
        stopped,
        program: program.remove().await,
    };
    finish(&report, printer)
}

/// The program alone is left.
async fn without_files(
    arguments: &SelfUninstall,
    program: Program,
    printer: &Printer,
) -> Result<(), Failure> {
    if !printer.is_json() {
        printer.line("no files to remove: ~/.agentmesh does not exist")?;
        announce_program(&program, printer)?;
    }
    if program.is_removed() {
        confirm(arguments, printer).await?;
    }
    let report = Report {
        removed: Vec::new(),
        kept: Vec::new(),
        stopped: Vec::new(),
        program: program.remove().await,
    };
    finish(&report, printer)
}

fn in_use(running: &[DetachedServer]) -> Failure {
    let meshes: Vec<String> = running.iter().map(described).collect();
    let stop = running.first().map(DetachedServer::started_in);
    let stop = stop.map(|directory| directory.to_string_lossy().into_owned());
    Failure::local(format!("a mesh is running: {}", meshes.join("; "))).hint(format!(
        "stop it with: cd {} && oam mesh down; --force stops it and removes what it stores",
        shell::word(&stop.unwrap_or_default())
    ))
}

fn described(server: &DetachedServer) -> String {
    let started_in = server.started_in().to_string_lossy();
    format!("{}, started in {}", server.url(), on_one_line(&started_in))
}

/// Prints what will be removed.
fn announce(
    removed: &[Removal],
    kept: &[Kept],
    running: &[DetachedServer],
    printer: &Printer,
) -> Result<(), Failure> {
    for server in running {
        printer.line(format!("stop     {}", described(server)))?;
    }
    for Removal { path, bytes } in removed {
        let path = on_one_line(&path.to_string_lossy());
        printer.line(format!("remove   {path} ({})", HumanBytes(*bytes)))?;
    }
    for Kept { path, reason } in kept {
        let path = on_one_line(&path.to_string_lossy());
        printer.line(format!("keep     {path} ({})", reason.in_words()))?;
    }
    Ok(())
}

fn announce_program(program: &Program, printer: &Printer) -> Result<(), Failure> {
    let path = on_one_line(&program.path().to_string_lossy());
    match program.is_removed() {
        true => printer.line(format!("remove   {path} (the program)")),
        false => printer.line(format!("keep     {path} (the program)")),
    }
}

/// Asks on a terminal, unless the arguments have the answer.
async fn confirm(arguments: &SelfUninstall, printer: &Printer) -> Result<(), Failure> {
    if arguments.yes {
        return Ok(());
    }
    if printer.is_json() || !stdin::is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage(
            "not confirmed: this command asks on a terminal only; --yes removes without asking",
        ));
    }
    let asked = tokio::task::spawn_blocking(ask).await;
    match asked {
        Ok(Ok(true)) => Ok(()),
        _ => Err(Failure::local("nothing was removed: the answer was not y")),
    }
}

fn ask() -> io::Result<bool> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "Remove these? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn finish(report: &Report, printer: &Printer) -> Result<(), Failure> {
    if printer.is_json() {
        return printer.json(report);
    }
    if !report.removed.is_empty() {
        let bytes = report.removed.iter().map(|removal| removal.bytes).sum();
        printer.line(format!("removed {}", HumanBytes(bytes)))?;
    }
    match &report.program.command {
        None => printer.line("removed the program"),
        Some(command) => {
            printer.note(format!("remove the program with: {command}"));
            Ok(())
        }
    }
}
