//! Processes of a test's own: this test binary again, running one of its ignored tests.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::within;

/// The environment variable that tells an ignored test that it runs as a role.
const VARIABLE: &str = "OAM_TEST_ROLE";

/// A process that runs the ignored test `name`, e.g. `lifecycle::slow_host`. The process ends with the
/// value.
pub(crate) fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(VARIABLE, name)
        .kill_on_drop(true);
    command
}

/// Whether this process runs a role; `cargo test -- --ignored` does not.
pub(crate) fn is_role() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// A role process that executes the commands on its standard input and answers each with a line.
pub(crate) struct Peer {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    pub(crate) fn start(name: &str, url: &str) -> Self {
        let mut child = role(name)
            .env("OAM_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            commands,
            answers,
        }
    }

    /// Waits for a line that begins with `mark`, and returns the rest of it.
    pub(crate) async fn reads(&mut self, mark: &str) -> String {
        loop {
            let line = within(self.answers.next_line())
                .await
                .unwrap()
                .expect("the process ended");
            if let Some(answer) = line.strip_prefix(mark) {
                return answer.trim().to_owned();
            }
        }
    }

    pub(crate) async fn ask(&mut self, command: &str) -> String {
        self.commands
            .write_all(format!("{command}\n").as_bytes())
            .await
            .unwrap();
        self.reads("answer").await
    }

    /// Sends a signal to the process, e.g. `-KILL`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let status = std::process::Command::new("kill")
            .args([signal, &id])
            .status();
        assert!(status.unwrap().success());
    }

    /// The anonymous resident memory of the process, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}
