//! `oam demo`, and the quickstart of the README as it is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Ran, Sandbox};

const README: &str = include_str!("../../../README.md");

#[test]
fn the_demo_without_a_terminal_shows_itself_and_ends() {
    let sandbox = Sandbox::new();
    let demo = sandbox.oam(&["demo"]);
    assert_eq!(demo.code, 0, "{demo:?}");
    assert_eq!(demo.stderr, "");
    for expected in [
        "A mesh is up at nats://127.0.0.1:",
        "Registered 6 agents;",
        "\"Echo: hello\"",
        "\"words\":4",
        "    -> \"one\"\n    -> \"by\"\n    -> \"one\"\n",
        "shop.turnover -> {\"orders\":",
        "invalid_input",
        "invocation_mismatch: agent 'text.words' streams its reply",
    ] {
        assert!(demo.stdout.contains(expected), "{expected}: {demo:?}");
    }
    assert_eq!(demo.stdout.matches("-> {\"item\":").count(), 3, "{demo:?}");
    assert_eq!(sandbox.url(), None, "it leaves no trace in the directory");
}

/// Runs a command of the quickstart; `oam` is the one of this build, and the port is free.
fn type_in(sandbox: &Sandbox, line: &str) -> Ran {
    let words: Vec<&str> = line
        .split_whitespace()
        .map(|word| word.trim_matches('\''))
        .collect();
    let (program, arguments) = words.split_first().unwrap();
    assert_eq!(*program, "oam");
    let mut arguments = arguments.to_vec();
    if arguments == ["mesh", "up"] {
        arguments.extend(["--port", "0"]);
    }
    sandbox.oam(&arguments)
}

#[test]
fn the_quickstart_works_as_printed() {
    let block = README
        .split("```bash\n")
        .find(|block| block.starts_with("oam mesh up"))
        .unwrap();
    let lines: Vec<(&str, Option<&str>)> = block
        .split("```")
        .next()
        .unwrap()
        .lines()
        .map(|line| match line.split_once('#') {
            Some((command, comment)) => (command.trim(), Some(comment.trim())),
            None => (line, None),
        })
        .collect();
    assert_eq!(lines.len(), 6, "every line is tried");

    let sandbox = Sandbox::new();
    let mut example = None;
    for (command, comment) in lines {
        if command == "cargo run --example echo" {
            example = Some(start_example(&sandbox));
            continue;
        }
        let ran = type_in(&sandbox, command);
        assert_eq!(ran.code, 0, "{command}: {ran:?}");
        if let Some(comment) = comment {
            assert_eq!(ran.stdout.trim(), comment, "{command}");
        }
        if command == "oam mesh catalog" {
            assert!(ran.stdout.contains("Echoes a message back."), "{ran:?}");
        }
    }
    let mut example = example.unwrap();
    example.kill().unwrap();
    example.wait().unwrap();
}

/// The example as `cargo run` starts it, once it serves.
fn start_example(sandbox: &Sandbox) -> std::process::Child {
    let mut build = Command::new(env!("CARGO"));
    // What this test's cargo says of its package would have crates built anew that look at it.
    let about_us =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_us) {
            build.env_remove(name);
        }
    }
    let built = build
        .args(["build", "--quiet", "--example", "echo"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status()
        .unwrap();
    assert!(built.success());
    let binaries = std::path::Path::new(env!("CARGO_BIN_EXE_oam"))
        .parent()
        .unwrap();
    let mut example = Command::new(binaries.join("examples/echo"))
        .current_dir(sandbox.work())
        .env_remove("OAM_URL")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(example.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("serving echo on"), "{line}");
    example
}
