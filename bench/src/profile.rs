//! Flame graphs of the caller and of the host of a task.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use openagentmesh_local::LocalServer;
use tokio::process::Command;

use crate::cases::{self, Case, Work};
use crate::error::Result;
use crate::instrumented::{self, Tool};
use crate::measure::{Contender, Task};
use crate::roles::Role;

const PERF: Tool = Tool {
    name: "perf",
    version_option: "--version",
    install: "install the package linux-perf (or linux-tools)",
};

/// Draws the recording of perf. A tool instead of a dependency because of its licence.
const FLAMEGRAPH: Tool = Tool {
    name: "inferno-flamegraph",
    // The program has no option for its version.
    version_option: "--help",
    install: "install it: cargo install inferno",
};
const COLLAPSE: Tool = Tool {
    name: "inferno-collapse-perf",
    ..FLAMEGRAPH
};

/// Factor of the number of messages in the bench, for enough samples.
const MESSAGES_FACTOR: u32 = 10;

/// The options of `profile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// The case of the bench, or a unique part of its name
    case: String,
    /// Profile the bare client, with the same headers
    #[arg(long)]
    raw: bool,
}

pub(crate) async fn run(plan: &Plan) -> Result<()> {
    for tool in [PERF, COLLAPSE, FLAMEGRAPH] {
        tool.version().await?;
    }
    let case = find(&plan.case)?;
    let contender = match plan.raw {
        true => Contender::RawWithHeaders,
        false => Contender::Ours,
    };
    let task = task(case, contender)?;
    let directory = instrumented::directory("profile")?;
    let name = match plan.raw {
        true => format!("{}-raw", file_name(case.name)),
        false => file_name(case.name),
    };
    let of = |role: Role| directory.join(format!("{name}-{}", role.name()));
    let perf = |role| {
        let mut perf = Command::new(PERF.name);
        // Not a divisor of common timer frequencies.
        perf.args(["record", "--quiet", "--freq=1997", "--call-graph=fp"])
            .arg("--output")
            .arg(of(role).with_extension("perf"))
            .arg("--");
        Some(perf)
    };
    let server = LocalServer::start().await?;
    instrumented::run_task(&server, &task, perf).await?;
    server.stop().await?;
    for role in [Role::Caller, Role::Host] {
        println!("{}", draw(&of(role)).await?.display());
    }
    Ok(())
}

/// The case with the name `name`, or else the only one that contains it.
fn find(name: &str) -> Result<&'static Case> {
    let tasks = || cases::all().filter(|case| matches!(case.work, Work::Task { .. }));
    if let Some(case) = tasks().find(|case| case.name == name) {
        return Ok(case);
    }
    let mut matching = tasks().filter(|case| case.name.contains(name));
    match (matching.next(), matching.next()) {
        (Some(case), None) => Ok(case),
        _ => {
            let names: Vec<&str> = tasks().map(|case| case.name).collect();
            Err(format!(
                "no single case matches '{name}'; the cases are: {}",
                names.join("; ")
            )
            .into())
        }
    }
}

fn task(case: &Case, contender: Contender) -> Result<Task> {
    match case.work {
        Work::Task {
            measure,
            messages,
            in_flight,
            ..
        } if case.contenders.contains(&contender) => Ok(Task {
            contender,
            measure,
            messages: messages * MESSAGES_FACTOR,
            in_flight,
        }),
        _ => Err(format!("{} has no part in case '{}'", contender.title(), case.name).into()),
    }
}

/// `name` without blanks and commas.
fn file_name(name: &str) -> String {
    let words = name.split(|character: char| !character.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// Draws the flame graph of a recording of perf, and keeps the folded stacks next to it.
async fn draw(recorded: &Path) -> Result<PathBuf> {
    let file = |extension| recorded.with_extension(extension);
    let mut script = Command::new(PERF.name);
    script.arg("script").arg("--input").arg(file("perf"));
    write(&mut script, &file("script")).await?;

    let mut collapse = Command::new(COLLAPSE.name);
    collapse.arg(file("script"));
    write(&mut collapse, &file("folded")).await?;
    // Large, and no longer needed.
    std::fs::remove_file(file("script"))?;

    let title = recorded.file_name().unwrap_or_default().to_string_lossy();
    let mut flamegraph = Command::new(FLAMEGRAPH.name);
    flamegraph
        .args(["--title", &*title, "--hash"])
        .arg(file("folded"));
    write(&mut flamegraph, &file("svg")).await?;
    Ok(file("svg"))
}

/// Runs `command` and writes its output to `path`.
async fn write(command: &mut Command, path: &Path) -> Result<()> {
    let output = std::fs::File::create(path)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let command = command.stdin(Stdio::null()).stdout(output);
    let output = command.stderr(Stdio::piped()).spawn()?.wait_with_output();
    let output = output.await?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?} failed: {}", stderr.trim()).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_found_by_a_unique_part_of_its_name() {
        assert_eq!(find("call").unwrap().name, "call");
        assert_eq!(find("64 in").unwrap().name, "calls, 64 in flight");
        let error = find("in flight").unwrap_err().to_string();
        assert!(error.contains("calls, 64 in flight; "), "{error}");
    }

    #[test]
    fn file_name_has_no_blanks_and_commas() {
        assert_eq!(file_name("calls, 1,000 in flight"), "calls-1-000-in-flight");
    }
}
