//! The bench's end of a role.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use interop::{Sdk, environment};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{READY, Role};
use crate::Result;
use crate::programs;

const PYTHON: &str = include_str!("role.py");

/// A process that plays a role. Dropping it ends it.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// This program, in a role.
    pub(crate) fn rust(role: Role, url: &str) -> Result<Self> {
        let mut program = Command::new(std::env::current_exe()?);
        program.args(["role", role.name(), url]);
        Self::start(program)
    }

    /// The same, run by another program that has got its own arguments already.
    pub(crate) fn rust_under(mut program: Command, role: Role, url: &str) -> Result<Self> {
        program
            .arg(std::env::current_exe()?)
            .args(["role", role.name(), url]);
        Self::start(program)
    }

    /// The same with the Python SDK.
    pub(crate) fn python(interpreter: &Path, role: Role, url: &str) -> Result<Self> {
        let mut program = Command::new(interpreter);
        program.args(["-c", PYTHON, role.name(), url]);
        Self::start(program)
    }

    /// The program that serves so many agents of `who` and does nothing else.
    pub(crate) fn host(
        program: &Path,
        who: &str,
        url: &str,
        prefix: &str,
        agents: u32,
    ) -> Result<Self> {
        let mut program = Command::new(program);
        program.args([who, url, prefix, &agents.to_string()]);
        Self::start(program)
    }

    /// The same with the Python SDK.
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

    /// A Python with the SDK, in an environment that the interop tests use too.
    pub(crate) async fn python_interpreter() -> Result<PathBuf> {
        let directory = programs::target()?.join("interop");
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let prepare = move || environment::prepare(Sdk::V0_2_0, &directory, &search_path);
        Ok(tokio::task::spawn_blocking(prepare).await??)
    }

    fn start(mut program: Command) -> Result<Self> {
        program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C is for the bench alone; the roles end in order when their input does.
        #[cfg(unix)]
        program.process_group(0);
        let mut child = program.spawn()?;
        let input = child.stdin.take().ok_or("a role without input")?;
        let output = child.stdout.take().ok_or("a role without output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.id().ok_or_else(|| "a role has ended".into())
    }

    pub(crate) async fn ready(&mut self, deadline: Duration) -> Result<()> {
        let word: String = self.answer(deadline).await?;
        match word == READY {
            true => Ok(()),
            false => Err(format!("a role said '{word}'").into()),
        }
    }

    /// Has a task done, and waits for what came of it.
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
            Ok(line) => Ok(serde_json::from_str(&line?.ok_or("a role has ended")?)?),
            Err(_) => Err("a role took too long".into()),
        }
    }

    /// Ends its input, and waits until it has ended too.
    pub(crate) async fn end(self, deadline: Duration) -> Result<()> {
        let Self {
            mut child, input, ..
        } = self;
        drop(input);
        let status = tokio::time::timeout(deadline, child.wait());
        match status.await.map_err(|_| "a role does not end")?? {
            status if status.success() => Ok(()),
            status => Err(format!("a role ended badly: {status}").into()),
        }
    }
}
