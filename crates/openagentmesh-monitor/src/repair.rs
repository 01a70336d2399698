//! Catalog entries without a living process.

use std::time::Duration;

use openagentmesh_protocol::{AgentName, DeathReason, InstanceId};

use crate::burial::{death, served};
use crate::instance::Instance;
use crate::mesh::{Listed, Mesh};
use crate::observations::Observations;

/// The number of entries that one look examines. The server searches all connections for each.
const MAX_EXAMINED: usize = 64;

/// Entries for which no process accounts, and since when.
///
/// An agent of an SDK without records counts as served while a connection subscribes to its requests. Agents that take
/// no requests have no subscription: their entries are left alone.
pub(crate) struct Unserved {
    observed: Observations<AgentName>,
    timeout: Duration,
    /// The number of the first entry that the next look examines.
    next: usize,
}

impl Unserved {
    /// `timeout` is the time for which an entry must be without a process.
    pub(crate) fn new(timeout: Duration, max_gap: Duration) -> Self {
        Self {
            observed: Observations::new(max_gap),
            timeout,
            next: 0,
        }
    }

    /// Removes the entries that no process has accounted for since `timeout`.
    pub(crate) async fn remove<M: Mesh>(
        &mut self,
        mesh: &M,
        own: &InstanceId,
    ) -> Result<(), M::Error> {
        // The catalog first: a process that registers after it was read changes its revision.
        let listing = mesh.listing().await?;
        let instances = mesh.instances().await?;
        let unserved = self.examine(mesh, &listing.agents, &instances).await?;
        self.observed.observe(unserved.iter().map(|name| (name, 0)));
        let is_over = |name: &AgentName| self.observed.unchanged_for(name) >= self.timeout;
        let over: Vec<AgentName> = unserved.into_iter().filter(is_over).collect();
        if over.is_empty() || !mesh.remove_agents(&over, listing.revision).await? {
            return Ok(());
        }
        tracing::warn!(
            agents = over.len(),
            "removed catalog entries without a process"
        );
        for agent in over {
            mesh.announce(&death(agent, own, DeathReason::Disconnect))
                .await?;
        }
        Ok(())
    }

    /// The entries without a record and without a subscription, among the next ones to examine. Entries that were found
    /// so before are examined again.
    async fn examine<M: Mesh>(
        &mut self,
        mesh: &M,
        listed: &[Listed],
        instances: &[Instance],
    ) -> Result<Vec<AgentName>, M::Error> {
        let served = served(instances);
        let unaccounted = listed
            .iter()
            .filter(|agent| agent.invocable && !served.contains(&agent.name))
            .map(|agent| &agent.name);
        let (mut examined, mut others): (Vec<_>, Vec<_>) =
            unaccounted.partition(|name| self.observed.has(name));
        if !others.is_empty() {
            let first = self.next % others.len();
            others.rotate_left(first);
            self.next = first.saturating_add(MAX_EXAMINED);
        }
        examined.append(&mut others);
        examined.truncate(MAX_EXAMINED);
        let mut unserved = Vec::new();
        for name in examined {
            let subscribers = mesh.subscribers(name).await?;
            if subscribers.servers() > 0 && subscribers.is_empty() {
                unserved.push(name.clone());
            }
        }
        Ok(unserved)
    }
}
