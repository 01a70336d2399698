//! `cargo xtask book`: builds the book in `docs/`, or runs what its pages show.

use std::process::{Command, ExitCode};
use std::{fs, path::Path};

use crate::{python, workspace};

/// Programs that the pages run, and the Rust blocks.
///
/// The programs are those that `cargo test` has built, with the same features: see `xtask/features`.
const PREPARATION: &[&str] = &[
    "test --workspace --bin book",
    // The examples of the macros are compiled by a test of `examples`: the SDK that they use depends on the macros.
    "test --workspace --exclude openagentmesh-macros --doc",
    "build --bins --examples",
];

/// The folder of the page whose programs need packages of Node.
const NODE_PAGES: &str = "docs/protocol/javascript";

/// Runs the command. Without arguments, builds the book. `--update` writes the generated pages, and
/// `--record` the terminal recording of the README. `--test` runs the
/// blocks of the pages whose paths contain one of the other arguments, or of all pages.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let done = match arguments {
        [] => book(&["build"]),
        ["--update"] => book(&["update"]),
        ["--record"] => cargo("build --bins").and_then(|()| book(&["record"])),
        ["--test", pages @ ..] => test(pages),
        _ => Err("usage: cargo xtask book [--update | --record | --test [PAGE…]]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("== book failed: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn test(pages: &[&str]) -> Result<(), String> {
    for command in PREPARATION {
        cargo(command)?;
    }
    python::install_for_book()?;
    install_for_node()?;
    if pages.is_empty() {
        book(&["build"])?;
    }
    book(&[&["test"], pages].concat())
}

/// Runs the tool of the book. It is built with the features of the whole workspace, which `cargo run` cannot select.
fn book(arguments: &[&str]) -> Result<(), String> {
    cargo("build --workspace --bin book")?;
    let program = workspace::target().join("debug").join("book");
    step(
        Command::new(program)
            .args(arguments)
            .current_dir(workspace::root()),
        "the build has made it",
    )
}

/// Installs the packages of the programs in JavaScript.
fn install_for_node() -> Result<(), String> {
    let source = workspace::root().join(NODE_PAGES);
    if !source.exists() {
        return Ok(());
    }
    let folder = workspace::target().join("book").join("node");
    let copy = |name: &str| {
        fs::create_dir_all(&folder)
            .and_then(|()| fs::copy(source.join(name), folder.join(name)))
            .map_err(|error| format!("cannot copy {name}: {error}"))
    };
    copy("package.json")?;
    copy("package-lock.json")?;
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]);
    step(npm.current_dir(&folder), "Node 20 or later is required")
}

fn cargo(arguments: &str) -> Result<(), String> {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        // Cargo sets these for this program. Crates whose build scripts read them would be built again.
        let is_of_cargo =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_cargo) {
            cargo.env_remove(name);
        }
    }
    cargo.args(arguments.split_whitespace());
    step(
        cargo.current_dir(Path::new(&workspace::root())),
        "Cargo is required",
    )
}

fn step(command: &mut Command, requirement: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    eprintln!("\n== book: {program} {}", arguments.join(" "));
    let status = command
        .status()
        .map_err(|error| format!("{program} cannot be run: {error}; {requirement}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {status}")),
    }
}
