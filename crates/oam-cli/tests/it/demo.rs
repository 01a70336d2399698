//! `oam demo`, and the quickstart of the README.

use std::path::Path;
use std::process::Command;

use crate::support::{CommandOutput, Running, Sandbox};

const README: &str = include_str!("../../../../README.md");

/// The first block of the README: `cargo run` of this package, with the arguments after `--`.
#[test]
fn readme_demo_without_a_terminal_runs_to_its_end() {
    let (build, arguments) = readme_commands()[0].split_once(" -- ").unwrap();
    assert_eq!(
        build,
        format!("cargo run --release -p {}", env!("CARGO_PKG_NAME"))
    );
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let sandbox = Sandbox::new();
    let demo = sandbox.oam(&arguments);
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
        "text.words {\"text\":\"one by one\"} -> invocation_mismatch",
    ] {
        assert!(demo.stdout.contains(expected), "{expected}: {demo:?}");
    }
    assert_eq!(demo.stdout.matches("-> {\"item\":").count(), 3, "{demo:?}");
    assert_eq!(sandbox.url(), None, "no file is left in the directory");
}

/// The blocks of commands in the README.
fn readme_commands() -> Vec<&'static str> {
    let blocks = README.split("```bash\n").skip(1);
    blocks
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect()
}

#[test]
fn readme_commands_are_those_that_tests_run() {
    // The first is run by the test above, the third by the test below. The second runs this test; `cargo xtask ci`
    // runs it.
    let [_demo, "cargo test", _quickstart] = readme_commands()[..] else {
        panic!("each block needs a test: {:?}", readme_commands());
    };
}

/// Runs a command of the quickstart with the `oam` of this build, on a free port.
fn run_line(sandbox: &Sandbox, line: &str) -> CommandOutput {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readme_quickstart_prints_what_it_says() {
    let quickstart = readme_commands()[2];
    let lines: Vec<(&str, Option<&str>)> = quickstart
        .lines()
        .map(|line| match line.split_once('#') {
            Some((command, comment)) => (command.trim(), Some(comment.trim())),
            None => (line, None),
        })
        .collect();
    assert_eq!(lines.len(), 6, "every line is run");

    let sandbox = Sandbox::new();
    let mut example = None;
    for (command, comment) in lines {
        if command == "cargo run --example echo" {
            example = Some(start_example(&sandbox).await);
            continue;
        }
        let output = run_line(&sandbox, command);
        assert_eq!(output.code, 0, "{command}: {output:?}");
        if let Some(comment) = comment {
            assert_eq!(output.stdout.trim(), comment, "{command}");
        }
        if command == "oam mesh catalog" {
            assert!(
                output.stdout.contains("Echoes a message back."),
                "{output:?}"
            );
        }
    }
    let mut example = example.unwrap();
    example.signal("-KILL");
    example.end().await;
}

/// Builds and starts the example as `cargo run` does, and waits until it serves.
async fn start_example(sandbox: &Sandbox) -> Running {
    let mut build = Command::new(env!("CARGO"));
    // Crates that read the package variables of this test's cargo would be built again.
    let is_package_variable =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_package_variable) {
            build.env_remove(name);
        }
    }
    let built = build
        .args(["build", "--quiet", "--example", "echo"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status()
        .unwrap();
    assert!(built.success());
    let binaries = Path::new(env!("CARGO_BIN_EXE_oam")).parent().unwrap();
    let mut example = Running::start(sandbox.program(binaries.join("examples/echo")));
    let line = example.line().await.unwrap();
    assert!(line.starts_with("serving echo on"), "{line}");
    example
}
