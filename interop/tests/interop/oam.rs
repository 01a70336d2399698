//! The program `oam` on the mesh of a test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::common::within;

/// A running `oam`. Dropping it kills it.
pub(crate) struct Oam {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Oam {
    /// Starts a command that goes on until it is dropped.
    pub(crate) async fn start(url: &str, arguments: &[&str]) -> Self {
        let mut child = command(url, arguments)
            .await
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            _child: child,
            lines,
        }
    }

    /// Waits for the line `expected`, and skips others.
    pub(crate) async fn line(&mut self, expected: &str) {
        within(async { while self.lines.next_line().await.unwrap().unwrap() != expected {} }).await;
    }
}

/// The output of a command that succeeds.
pub(crate) async fn run(url: &str, arguments: &[&str]) -> String {
    let mut command = command(url, arguments).await;
    let output = within(command.output()).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn command(url: &str, arguments: &[&str]) -> tokio::process::Command {
    let program = tokio::task::spawn_blocking(program).await.unwrap();
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .args(["--url", url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The path of `oam`, which is built first: cargo builds the programs of a test's own package only.
fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "oam-cli", "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success(), "cannot build oam");
        let name = format!("oam{}", std::env::consts::EXE_SUFFIX);
        target.join("debug").join(name)
    };
    PROGRAM.get_or_init(build).clone()
}
