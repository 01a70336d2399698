//! `oam demo`, and the commands of the README.

use crate::support::{Dialogue, Sandbox};

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
        "text.words {\"text\":\"one by one\"} -> invocation_mismatch\n",
    ] {
        assert!(demo.stdout.contains(expected), "{expected}: {demo:?}");
    }
    assert_eq!(demo.stdout.matches("-> {\"item\":").count(), 3, "{demo:?}");
    let next = demo.stdout.lines().rev().nth(1).unwrap();
    assert!(next.ends_with("oam mesh up"), "{demo:?}");
    for line in demo.stdout.lines().filter(|line| *line != next) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(sandbox.url(), None, "no file is left in the directory");
}

/// The commands name the mesh once, so that they fit a small terminal.
#[test]
fn demo_on_a_terminal_shows_commands_that_fit_80_columns() {
    let sandbox = Sandbox::new();
    let directory = std::path::Path::new(env!("CARGO_BIN_EXE_oam")).parent();
    let path = format!(
        "{}:{}",
        directory.unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = sandbox.program("oam");
    command
        .arg("demo")
        .env("PATH", path)
        .env("SHELL", "/bin/bash")
        .env("NO_COLOR", "1");
    let mut terminal = Dialogue::start(command);
    let shown = terminal.wait_for("Ctrl-C stops the mesh.");
    assert_eq!(shown.matches("export OAM_URL=nats://127.0.0.1:").count(), 1);
    assert!(!shown.contains("--url"), "{shown}");
    assert!(
        shown.contains("\n  oam agent call echo '\"hi\"'  calls it\n"),
        "{shown}"
    );
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    terminal.interrupt();
    assert_eq!(terminal.end().0, 0);
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
    // The first is run by the test above. The second runs this test; `cargo xtask ci` runs it.
    let [_demo, "cargo test"] = readme_commands()[..] else {
        panic!("each block needs a test: {:?}", readme_commands());
    };
}
