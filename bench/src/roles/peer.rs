//! The bench's handle of a role process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use interop::{Sdk, environment};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::role::{READY, Role};
use crate::error::Result;
use crate::programs;

const PYTHON: &str = include_str!("role.py");

/// A process that plays a role. Dropping the handle kills it.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts the bench `program` in a role.
    pub(crate) fn rust(program: &Path, role: Role, url: &str) -> Result<Self> {
        let mut program = Command::new(program);
        program.args(["role", role.name(), url]);
        Self::start(program)
    }

    /// Starts this program in a role, under a `tool` that has its own arguments already.
    pub(crate) fn rust_under(mut tool: Command, role: Role, url: &str) -> Result<Self> {
        tool.arg(std::env::current_exe()?)
            .args(["role", role.name(), url]);
        Self::start(tool)
    }

    /// Starts a role with the Python SDK.
    pub(crate) fn python(interpreter: &Path, role: Role, url: &str) -> Result<Self> {
        let mut program = Command::new(interpreter);
        program.args(["-c", PYTHON, role.name(), url]);
        Self::start(program)
    }

    /// Starts a host that serves `agents` agents of `implementation` (`ours` or `raw`).
    pub(crate) fn host(
        program: &Path,
        implementation: &str,
        url: &str,
        prefix: &str,
        agents: u32,
    ) -> Result<Self> {
        let mut program = Command::new(program);
        program.args([implementation, url, prefix, &agents.to_string()]);
        Self::start(program)
    }

    /// Starts such a host with the Python SDK.
    pub(crate) fn python_host(
        interpreter: &Path,
        url: &str,
        prefix: &str,
        agents: u32,
    ) -> Result<Self> {
        let mut program = Command::new(interpreter);
        let agents = agents.to_string();
        program.args(["-c", PYTHON, "small-host", url, prefix, &agents]);
        Self::start(program)
    }

    /// A Python interpreter with the SDK, in the environment of the interop tests.
    pub(crate) async fn python_interpreter() -> Result<PathBuf> {
        let directory = programs::target()?.join("interop");
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        eprintln!("== prepare the Python environment, unless it is complete");
        let prepare = move || environment::prepare(Sdk::V0_2_0, &directory, &search_path);
        Ok(tokio::task::spawn_blocking(prepare).await??)
    }

    fn start(mut program: Command) -> Result<Self> {
        program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C reaches the bench only; a role ends when its input ends.
        #[cfg(unix)]
        program.process_group(0);
        let mut child = program.spawn()?;
        let input = child.stdin.take().ok_or("the role has no input")?;
        let output = child.stdout.take().ok_or("the role has no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.id().ok_or_else(|| "the role has ended".into())
    }

    pub(crate) async fn ready(&mut self, deadline: Duration) -> Result<()> {
        let line: String = self.answer(deadline).await?;
        match line == READY {
            true => Ok(()),
            false => Err(format!("the role answered '{line}' instead of '{READY}'").into()),
        }
    }

    /// Sends a task and waits for its result.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        task: &(impl Serialize + std::fmt::Debug),
        deadline: Duration,
    ) -> Result<T> {
        let mut line = serde_json::to_string(task)?;
        line.push('\n');
        self.input.write_all(line.as_bytes()).await?;
        self.input.flush().await?;
        let answer = self.answer(deadline).await;
        answer.map_err(|error| format!("{task:?}: {error}").into())
    }

    async fn answer<T: DeserializeOwned>(&mut self, deadline: Duration) -> Result<T> {
        let line = tokio::time::timeout(deadline, self.output.next_line());
        match line.await {
            Ok(line) => Ok(serde_json::from_str(&line?.ok_or("the role has ended")?)?),
            Err(_) => Err("the role did not answer in time".into()),
        }
    }

    /// Closes the input and waits for the end of the process.
    pub(crate) async fn end(self, deadline: Duration) -> Result<()> {
        let Self {
            mut child, input, ..
        } = self;
        drop(input);
        let status = tokio::time::timeout(deadline, child.wait());
        match status.await.map_err(|_| "the role did not end in time")?? {
            status if status.success() => Ok(()),
            status => Err(format!("the role failed: {status}").into()),
        }
    }
}
