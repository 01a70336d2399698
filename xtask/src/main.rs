//! Developer commands: `cargo xtask <command>`. They need nothing installed but Rust (and Python,
//! where the published SDKs take part).

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask <command>

  ci        everything that decides whether a change lands, in order
  interop   the published Python SDKs and the Rust SDK on one mesh";

/// One command of a run: what it is called, what is typed, and the environment it gets.
struct Step {
    title: &'static str,
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const fn step(title: &'static str, command: &'static [&'static str]) -> Step {
    Step {
        title,
        command,
        environment: &[],
    }
}

const INTEROP: Step = step("interop", &["cargo", "test", "-p", "interop"]);

const CI: &[Step] = &[
    step("format", &["cargo", "fmt", "--all", "--check"]),
    step(
        "lint",
        &[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    step(
        "lint the SDK without its features",
        &[
            "cargo",
            "clippy",
            "-p",
            "openagentmesh",
            "--lib",
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step {
        title: "docs",
        command: &["cargo", "doc", "--workspace", "--no-deps"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    // The second command of the README, to the letter.
    step("test", &["cargo", "test"]),
    INTEROP,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let steps = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => CI,
        ["interop"] => &[INTEROP],
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    for step in steps {
        eprintln!("\n== {}: {}", step.title, step.command.join(" "));
        if let Err(reason) = run(step) {
            eprintln!("== {} failed: {reason}", step.title);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(step: &Step) -> Result<(), String> {
    let (program, arguments) = step.command.split_first().ok_or("there is no command")?;
    let status = Command::new(program)
        .args(arguments)
        .envs(step.environment.iter().copied())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(status.to_string())
    }
}
