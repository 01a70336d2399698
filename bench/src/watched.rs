//! A conversation between a host and a caller that another program watches: a counter, a profiler.

use std::path::PathBuf;
use std::time::Duration;

use openagentmesh_local::LocalServer;
use tokio::process::Command;

use crate::Result;
use crate::measure::{Outcome, Task};
use crate::programs;
use crate::roles::{Peer, Role};

/// How long a step may take. Under callgrind everything takes fifty times as long.
const DEADLINE: Duration = Duration::from_secs(300);

/// A program that has to be installed.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// What says its version, and does nothing else.
    pub(crate) version_option: &'static str,
    /// How it is installed.
    pub(crate) install: &'static str,
}

impl Tool {
    /// What it says of its version.
    pub(crate) async fn version(&self) -> Result<String> {
        let Self { name, install, .. } = self;
        let missing = |why: &dyn std::fmt::Display| format!("{name} {why}; {install}");
        let output = Command::new(name).arg(self.version_option).output().await;
        let output = output.map_err(|error| missing(&format!("cannot be run ({error})")))?;
        if !output.status.success() {
            return Err(missing(&format!("does not work ({})", output.status)).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Has `task` done on the mesh of `server`, each side perhaps by a process that `under` runs.
pub(crate) async fn converse(
    server: &LocalServer,
    task: &Task,
    under: impl Fn(Role) -> Option<Command>,
) -> Result<()> {
    let start = |role| match under(role) {
        Some(program) => Peer::rust_under(program, role, server.url()),
        None => Peer::rust(role, server.url()),
    };
    let mut host = start(Role::Host)?;
    host.ready(DEADLINE).await?;
    let mut caller = start(Role::Caller)?;
    caller.ready(DEADLINE).await?;
    let outcome: Outcome = caller.ask(task, DEADLINE).await?;
    if outcome.messages != task.messages {
        return Err(format!("{task:?}: {} messages came", outcome.messages).into());
    }
    caller.end(DEADLINE).await?;
    host.end(DEADLINE).await
}

/// A directory of this name in the target directory.
pub(crate) fn directory(name: &str) -> Result<PathBuf> {
    let directory = programs::target()?.join(name);
    let made = std::fs::create_dir_all(&directory);
    made.map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
    Ok(directory)
}
