//! A mesh with many agents.

use std::path::Path;

use openagentmesh_local::LocalServer;

use super::measured::JOB_TIMEOUT;
use crate::error::Result;
use crate::measure::{Done, Job};
use crate::roles::{Peer, Role};

/// The channel that catalog queries ask for.
pub(super) const SMALL_CHANNEL: &str = "few";
/// The number of agents in it.
pub(super) const SMALL_CHANNEL_AGENTS: u32 = 10;

/// A server, and the process that serves all agents.
pub(super) struct PopulatedMesh {
    pub(super) server: LocalServer,
    host: Peer,
}

impl PopulatedMesh {
    pub(super) async fn start(program: &Path, agents: u32) -> Result<Self> {
        eprintln!("registering {agents} agents");
        let server = LocalServer::start().await?;
        let mut host = Peer::rust(program, Role::Worker, server.url())?;
        host.ready(JOB_TIMEOUT).await?;
        let mut names = names("many", agents.saturating_sub(SMALL_CHANNEL_AGENTS));
        names.extend(self::names(SMALL_CHANNEL, SMALL_CHANNEL_AGENTS));
        host.ask::<Done>(&Job::Register { names }, JOB_TIMEOUT)
            .await?;
        Ok(Self { server, host })
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.host.end(JOB_TIMEOUT).await?;
        Ok(self.server.stop().await?)
    }
}

pub(super) fn names(prefix: &str, count: u32) -> Vec<String> {
    (0..count)
        .map(|agent| format!("{prefix}.agent-{agent}"))
        .collect()
}
