//! Developer commands: `cargo xtask <command>`. They need nothing installed but Rust (and Python,
//! where the published SDKs take part); the two that look into a process say what they need.

use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask <command>

  ci                        everything that decides whether a change lands, in order
  interop                   the published Python SDKs and the Rust SDK on one mesh
  bench [OPTIONS]           what the SDK costs, side by side with others; --help tells the options
  instructions [--update]   the instructions of the hot paths, compared to bench/instructions.json
  profile CASE              flame graphs of a caller and of its host, in target/profile";

/// One command of a run: what it is called, what is typed, and the environment it gets.
struct Step {
    title: &'static str,
    command: &'static str,
    environment: &'static [(&'static str, &'static str)],
}

const fn step(title: &'static str, command: &'static str) -> Step {
    Step {
        title,
        command,
        environment: &[],
    }
}

const INTEROP: Step = step("interop", "cargo test -p interop");

const BENCH: &[Step] = &[
    // What the bench starts; it would build it itself, but without a word.
    step("build oam", "cargo build --release -p oam-cli"),
    step("build the bench", "cargo build --release -p bench"),
    step("bench", "cargo run --release -p bench --bin bench --"),
];

const INSTRUCTIONS: Step = step(
    "instructions",
    "cargo run --profile profiling -p bench --bin bench -- instructions",
);

const PROFILE: Step = Step {
    title: "profile",
    command: "cargo run --profile profiling -p bench --bin bench -- profile",
    // By them perf sees who has called whom.
    environment: &[("RUSTFLAGS", "-C force-frame-pointers=yes")],
};

const CI: &[Step] = &[
    step("format", "cargo fmt --all --check"),
    step(
        "lint",
        "cargo clippy --workspace --all-targets -- -D warnings",
    ),
    step(
        "lint the SDK without its features",
        "cargo clippy -p openagentmesh --lib -- -D warnings",
    ),
    Step {
        title: "docs",
        command: "cargo doc --workspace --no-deps",
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    // The second command of the README, to the letter.
    step("test", "cargo test"),
    INTEROP,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (steps, more) = match arguments[..] {
        ["ci"] => (CI, &[][..]),
        ["interop"] => (&[INTEROP][..], &[][..]),
        ["bench", ref more @ ..] => (BENCH, more),
        ["instructions", ref more @ ..] => (&[INSTRUCTIONS][..], more),
        ["profile", ref more @ ..] => (&[PROFILE][..], more),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    for (index, step) in steps.iter().enumerate() {
        let mut command: Vec<&str> = step.command.split(' ').collect();
        // The steps before the last one are there for it.
        if index + 1 == steps.len() {
            command.extend(more);
        }
        eprintln!("\n== {}: {}", step.title, command.join(" "));
        if let Err(reason) = run(&command, step.environment) {
            eprintln!("== {} failed: {reason}", step.title);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(command: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("there is no command")?;
    let mut command = Command::new(program);
    // What `cargo xtask` says of this program would have cargo build anew what it built by hand for
    // crates whose build scripts look at it.
    let about_us =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_us) {
            command.env_remove(name);
        }
    }
    let status = command
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(status.to_string())
    }
}
