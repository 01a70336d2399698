//! A mesh with many agents.

use std::collections::btree_map::Entry;

use openagentmesh_local::LocalServer;

use super::Stage;
use super::stage::DEADLINE;
use crate::Result;
use crate::measure::{Done, Job};
use crate::roles::{Peer, Role};

/// The channel of the few agents that are asked for.
pub(super) const CHANNEL: &str = "few";
/// How many they are.
pub(super) const FEW: u32 = 10;

/// A server of its own, and a process that has all the agents.
pub(super) struct Crowd {
    pub(super) server: LocalServer,
    host: Peer,
}

impl Crowd {
    async fn gather(agents: u32) -> Result<Self> {
        eprintln!("gathering {agents} agents");
        let server = LocalServer::start().await?;
        let mut host = Peer::rust(Role::Worker, server.url())?;
        host.ready(DEADLINE).await?;
        let mut names = names("many", agents.saturating_sub(FEW));
        names.extend(self::names(CHANNEL, FEW));
        host.ask::<Done>(&Job::Register { names }, DEADLINE).await?;
        Ok(Self { server, host })
    }

    pub(super) async fn part(self) -> Result<()> {
        self.host.end(DEADLINE).await?;
        Ok(self.server.stop().await?)
    }
}

impl Stage {
    /// So many agents, who stay for the cases that come.
    pub(super) async fn crowd(&mut self, agents: u32) -> Result<()> {
        if let Entry::Vacant(vacant) = self.crowds.entry(agents) {
            vacant.insert(Crowd::gather(agents).await?);
        }
        Ok(())
    }
}

pub(super) fn names(prefix: &str, count: u32) -> Vec<String> {
    (0..count)
        .map(|agent| format!("{prefix}.agent-{agent}"))
        .collect()
}
