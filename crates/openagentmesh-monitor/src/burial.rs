//! The removal of a dead instance.

use std::collections::BTreeSet;

use openagentmesh_protocol::{
    AgentName, DeathNotice, DeathReason, InstanceId, InstanceNotice, InstanceRecord, InstanceState,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::instance::Instance;
use crate::mesh::{Listed, Mesh, Notice};

/// The number of attempts to change a catalog that other processes change at the same time.
const MAX_ATTEMPTS: u32 = 20;

/// Removes `instance`, which is dead, and the agents that only it served. Does nothing if it has written its record
/// since.
///
/// The record is first marked as dead, guarded by its revision. From then on any monitor can go on where another one
/// stopped, and a write of the instance itself ends the removal. The record goes last.
pub(crate) async fn bury<M: Mesh>(mesh: &M, instance: &Instance) -> Result<(), M::Error> {
    let fence = if is_dead(&instance.record) {
        Some(instance.revision)
    } else {
        let record = InstanceRecord {
            state: Some(InstanceState::Dead),
            ..instance.record.clone()
        };
        mesh.write_instance(&instance.id, &record, instance.revision)
            .await?
    };
    let Some(fence) = fence else { return Ok(()) };
    tracing::warn!(instance = %instance.id, agents = instance.record.agents.len(), "an instance is dead");
    let notice = Notice::InstanceDown(InstanceNotice {
        instance_id: instance.id.clone(),
        reason: DeathReason::Disconnect,
        detected_at: now(),
        agents: instance.record.agents.clone(),
    });
    mesh.announce(&notice).await?;
    for agent in remove_agents(mesh, instance).await? {
        mesh.announce(&death(agent, &instance.id)).await?;
    }
    mesh.remove_instance(&instance.id, fence).await?;
    Ok(())
}

/// Whether a monitor has marked the record as that of a dead instance.
pub(crate) fn is_dead(record: &InstanceRecord) -> bool {
    record.state == Some(InstanceState::Dead)
}

/// The agents that living instances serve, as their records say.
pub(crate) fn served(instances: &[Instance]) -> BTreeSet<&AgentName> {
    let living = instances
        .iter()
        .filter(|instance| !is_dead(&instance.record));
    living
        .flat_map(|instance| &instance.record.agents)
        .collect()
}

/// The notice that `agent` has no instance left.
pub(crate) fn death(agent: AgentName, instance_id: &InstanceId) -> Notice {
    Notice::Death(DeathNotice {
        agent,
        reason: DeathReason::Disconnect,
        detected_at: now(),
        instance_id: instance_id.clone(),
    })
}

/// Removes the agents of `instance` that no other process serves from the catalog, and returns them.
async fn remove_agents<M: Mesh>(mesh: &M, instance: &Instance) -> Result<Vec<AgentName>, M::Error> {
    for _ in 0..MAX_ATTEMPTS {
        // The catalog first: a process that registers after it was read changes its revision. If `instance` has written
        // its record since, its agents are served.
        let listing = mesh.listing().await?;
        let instances = mesh.instances().await?;
        let served = served(&instances);
        let mut gone = Vec::new();
        for agent in &instance.record.agents {
            if !served.contains(agent) && !has_other_subscriber(mesh, agent, instance).await {
                gone.push(agent.clone());
            }
        }
        let is_listed = |name: &&AgentName| {
            listing
                .agents
                .iter()
                .any(|Listed { name: listed, .. }| listed == *name)
        };
        let listed: Vec<AgentName> = gone.iter().filter(is_listed).cloned().collect();
        if listed.is_empty() || mesh.remove_agents(&listed, listing.revision).await? {
            return Ok(gone);
        }
    }
    // The record is still there, and the next look tries again.
    tracing::debug!(instance = %instance.id, "the catalog changes too often to remove the agents of a dead instance");
    Ok(vec![])
}

/// Whether a process other than `instance` subscribes to the requests of `agent`. Processes of other SDKs may serve
/// agents without a record.
async fn has_other_subscriber<M: Mesh>(mesh: &M, agent: &AgentName, instance: &Instance) -> bool {
    match mesh.subscribers(agent).await {
        Ok(subscribers) => subscribers.has_other_than(instance),
        Err(error) => {
            tracing::debug!(%agent, %error, "the subscriptions of an agent are unknown");
            false
        }
    }
}

fn now() -> String {
    // The format fails only for years beyond 9999.
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}
