//! Developer commands: `cargo xtask <command>`. Most need only Rust; `interop`, `bench`, `python`
//! and `book --test` also need Python, the latter also Node, and `instructions` and `profile` name the tools that they need.

mod book;
mod layers;
mod package;
#[cfg(test)]
mod portable;
mod prose;
mod python;
mod workspace;

use std::process::{Command, ExitCode};
use std::time::Instant;

const USAGE: &str = "\
usage: cargo xtask <command>

  ci                        all checks that a change must pass, in order
  interop                   the published Python SDKs and the Rust SDK on one mesh
  python [--release] [ARG]  the wheel of the Python package, installed and tested with pytest ARG
  python install [--release]
                            the wheel, installed into target/python/installed
  book [--update | --record | --test [PAGE]]
                            the book in docs/: its HTML, its generated pages, or what PAGE shows, run
  bench [OPTIONS]           cost of the SDK next to other clients; --help lists the options
  instructions [--update]   the instructions of the hot paths, compared to bench/instructions.json
  profile CASE              flame graphs of a caller and of its host, in target/profile
  prose [--list] [CRATE]    ruled-out words and sentence forms per 1,000 words, see docs/STYLE.md
  fuzz [OPTIONS] [TARGET]   mutations of the corpus of each parser, 20 s each, see fuzz/README.md
  package                   the manifests and the files of the published crates
  layers [FOLDER]           imports against the order of the layers, and circles of files";

/// One command of a run: its title, its command line, and additional environment variables.
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

/// A failed test prints its message last. A backtrace fills the end of a log, where a failure is looked for.
const SHORT_FAILURES: (&str, &str) = ("RUST_BACKTRACE", "0");

// All tests select the whole workspace or its default members, which have the same features: see `xtask/features`.
const INTEROP: Step = Step {
    title: "interop",
    command: "cargo test --workspace --test interop",
    environment: &[SHORT_FAILURES],
};

const BENCH: &[Step] = &[
    // The bench starts `oam`, and would build it without printing progress.
    step("build oam", "cargo build --profile dist -p oam-cli"),
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
    // perf needs frame pointers to find the callers of a function.
    environment: &[("RUSTFLAGS", "-C force-frame-pointers=yes")],
};

// Optimised, so that 20 s are many inputs.
const FUZZ: Step = step("fuzz", "cargo run --release -p fuzz --");

const CI: &[Step] = &[
    step("format", "cargo fmt --all --check"),
    step("layers", "cargo xtask layers"),
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
    step("prose", "cargo xtask prose"),
    step("package", "cargo xtask package"),
    // Exactly the second command of the README, with a longer run of the test `chaos`.
    Step {
        title: "test",
        command: "cargo test",
        environment: &[("OAM_CHAOS_SECONDS", "120"), SHORT_FAILURES],
    },
    // The same inputs each time and on every machine, so that a change is judged by the change, and with the build of the
    // tests. `cargo xtask fuzz` takes a new seed each time, and optimises.
    step("fuzz", "cargo run --bin fuzz -- --seed 1 --inputs 150000"),
    INTEROP,
    step("python", "cargo xtask python"),
    step("book", "cargo xtask book --test"),
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
        ["fuzz", ref more @ ..] => (&[FUZZ][..], more),
        ["layers", ref folder @ ..] if folder.len() < 2 => {
            return layers::run(folder.first().copied());
        }
        ["package"] => return package::run(),
        ["book", ref arguments @ ..] => return book::run(arguments),
        ["python", ref arguments @ ..] => return python::run(arguments),
        ["prose", ref arguments @ ..] => return prose::run(arguments),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    for (index, step) in steps.iter().enumerate() {
        let mut command: Vec<&str> = step.command.split(' ').collect();
        // Only the last step takes arguments; the steps before it prepare it.
        if index + 1 == steps.len() {
            command.extend(more);
        }
        eprintln!("\n== {}: {}", step.title, command.join(" "));
        let started = Instant::now();
        if let Err(reason) = run(&command, step.environment) {
            eprintln!("== {} failed: {reason}", step.title);
            return ExitCode::FAILURE;
        }
        eprintln!("== {} took {} s", step.title, started.elapsed().as_secs());
    }
    ExitCode::SUCCESS
}

fn run(command: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("empty command")?;
    let mut command = Command::new(program);
    // Cargo sets these for this program. Crates whose build scripts read them would be rebuilt.
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
