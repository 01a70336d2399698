//! Processes that a test sends signals to.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::role::role;
use super::within;

/// Sends `signal`, e.g. `-TERM`, to a process.
pub(crate) fn signal(child: &Child, signal: &str) {
    let pid = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill")
        .args([signal, &pid])
        .status()
        .unwrap();
    assert!(sent.success());
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

    /// Sends the process a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(sent.unwrap().success());
    }
}

#[cfg(target_os = "linux")]
impl Peer {
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
