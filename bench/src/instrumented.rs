//! A task between a host and a caller under another program: a counter or a profiler.

use std::path::PathBuf;
use std::time::Duration;

use openagentmesh_local::LocalServer;
use tokio::process::Command;

use crate::error::Result;
use crate::measure::{Outcome, Task};
use crate::programs;
use crate::roles::{Peer, Role};

/// Limit of one step. Callgrind slows a process down by a factor of fifty.
const STEP_TIMEOUT: Duration = Duration::from_secs(300);

/// A program that must be installed.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The option that prints the version.
    pub(crate) version_option: &'static str,
    /// The instruction for its installation.
    pub(crate) install: &'static str,
}

impl Tool {
    /// The version that the tool prints.
    pub(crate) async fn version(&self) -> Result<String> {
        let Self { name, install, .. } = self;
        let unusable =
            |why: &dyn std::fmt::Display| format!("{name} cannot be used: {why}; {install}");
        let output = Command::new(name).arg(self.version_option).output().await;
        let output = output.map_err(|error| unusable(&error))?;
        if !output.status.success() {
            return Err(unusable(&output.status).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Runs `task` on the mesh of `server`; a role for which `under` returns a tool runs under that tool.
pub(crate) async fn run_task(
    server: &LocalServer,
    task: &Task,
    under: impl Fn(Role) -> Option<Command>,
) -> Result<()> {
    let start = |role| match under(role) {
        Some(tool) => Peer::rust_under(tool, role, server.url()),
        None => Peer::rust(&std::env::current_exe()?, role, server.url()),
    };
    let mut host = start(Role::Host)?;
    host.ready(STEP_TIMEOUT).await?;
    let mut caller = start(Role::Caller)?;
    caller.ready(STEP_TIMEOUT).await?;
    let outcome: Outcome = caller.ask(task, STEP_TIMEOUT).await?;
    if outcome.messages != task.messages {
        return Err(format!("{task:?}: {} messages received", outcome.messages).into());
    }
    caller.end(STEP_TIMEOUT).await?;
    host.end(STEP_TIMEOUT).await
}

/// Creates a directory in the target directory.
pub(crate) fn directory(name: &str) -> Result<PathBuf> {
    let directory = programs::target()?.join(name);
    let made = std::fs::create_dir_all(&directory);
    made.map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    Ok(directory)
}
