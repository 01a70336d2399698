//! A home directory for detached servers.

use std::path::Path;

use openagentmesh_local::{DetachedServer, DetachedServerBuilder};
use sysinfo::Signal;
use tempfile::TempDir;

use super::process::{processes_of, signal};
use super::{home, nats_server};

/// A home directory. Its detached servers are killed on drop, also if a test fails.
pub(crate) struct DetachedHome(TempDir);

impl DetachedHome {
    pub(crate) fn new() -> Self {
        Self(home())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Settings for a server in this home, with ports that the server chooses.
    pub(crate) async fn settings(&self) -> DetachedServerBuilder {
        DetachedServer::builder()
            .home_directory(self.path())
            .binary(nats_server().await)
            .port(0)
    }
}

impl Drop for DetachedHome {
    fn drop(&mut self) {
        for pid in processes_of(&self.path().join(".agentmesh")) {
            signal(pid, Signal::Kill);
        }
    }
}
