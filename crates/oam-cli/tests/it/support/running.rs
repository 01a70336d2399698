//! A command that the test interacts with while it runs.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::deadline::within_deadline;

/// A running command. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    pub(crate) fn start(command: Command) -> Self {
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Self {
            child,
            lines: Some(BufReader::new(stdout).lines()),
        }
    }

    /// Starts a command whose stdout is not read.
    pub(crate) fn start_without_stdout(command: Command) -> Self {
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, lines: None }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// The next line of stdout; `None` at the end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        within_deadline("line of stdout", self.lines.as_mut().unwrap().next_line())
            .await
            .unwrap()
    }

    /// The next line of stdout, if it arrives within `time`. Cancel-safe: no line is lost.
    pub(crate) async fn line_within(&mut self, time: Duration) -> Option<String> {
        let line = tokio::time::timeout(time, self.lines.as_mut().unwrap().next_line());
        line.await.ok()?.unwrap()
    }

    /// Waits for the first output, and reads no further.
    pub(crate) async fn first_byte(&mut self) {
        let stdout = self.lines.as_mut().unwrap().get_mut();
        within_deadline("byte of stdout", stdout.get_mut().read_u8())
            .await
            .unwrap();
    }

    /// Waits for a line of stderr that contains `text`.
    pub(crate) async fn error_line(&mut self, text: &str) {
        let mut lines = BufReader::new(self.child.stderr.as_mut().unwrap()).lines();
        within_deadline("line of stderr", async {
            while !lines
                .next_line()
                .await
                .unwrap()
                .expect("end of stderr")
                .contains(text)
            {}
        })
        .await;
    }

    /// Closes the reading end of stdout.
    pub(crate) fn close_stdout(&mut self) {
        self.lines = None;
    }

    /// Sends a signal, such as `-INT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends a signal, unless the command has ended.
    pub(crate) fn signal_if_running(&mut self, signal: &str) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(signal);
        }
    }

    /// Waits for the end. Returns the exit status and stderr.
    pub(crate) async fn end(&mut self) -> (ExitStatus, String) {
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().unwrap();
        let status = within_deadline("end of the command", async {
            pipe.read_to_string(&mut stderr).await.unwrap();
            self.child.wait().await.unwrap()
        });
        (status.await, stderr)
    }
}
