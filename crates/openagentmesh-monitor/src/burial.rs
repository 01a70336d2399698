//! The removal of a dead instance.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use openagentmesh_protocol::{
    AgentName, DeathNotice, DeathReason, InstanceId, InstanceNotice, InstanceRecord, InstanceState,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, timeout_at};

use crate::instance::Instance;
use crate::mesh::{Mesh, Notice};

/// The number of attempts to change a catalog that other processes change at the same time.
const MAX_ATTEMPTS: u32 = 3;
/// The limit of the questions for subscriptions. The server searches all connections for each.
const QUESTIONS_TIMEOUT: Duration = Duration::from_secs(1);
/// The number of concurrent questions to the server.
const MAX_CONCURRENT: usize = 32;

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
    let agents = &instance.record.agents;
    let Some(removed) = remove(mesh, instance, agents, Unknown::Keep).await? else {
        // The record stays, and the next look tries again.
        return Ok(());
    };
    for agent in removed.gone {
        mesh.announce(&death(agent, &instance.id, DeathReason::Disconnect))
            .await?;
    }
    if removed.unknown.is_empty() {
        mesh.remove_instance(&instance.id, fence).await?;
        return Ok(());
    }
    // The next look goes on with the others.
    let left = InstanceRecord {
        state: Some(InstanceState::Dead),
        agents: removed.unknown,
        ..instance.record.clone()
    };
    mesh.write_instance(&instance.id, &left, fence).await?;
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

/// The notice that `agent` has no instance left since `instance_id` ended.
#[must_use]
pub fn death(agent: AgentName, instance_id: &InstanceId, reason: DeathReason) -> Notice {
    Notice::Death(DeathNotice {
        agent,
        reason,
        detected_at: now(),
        instance_id: instance_id.clone(),
    })
}

/// Removes those of `agents`, which `instance` has served, that no other process serves from the catalog. Returns their
/// names, for which the caller announces the death. `None`: the catalog was changed at each attempt, and nothing is
/// removed.
///
/// # Errors
///
/// If the catalog or the records cannot be read, or the catalog cannot be written.
pub async fn remove_agents<M: Mesh>(
    mesh: &M,
    instance: &Instance,
    agents: &[AgentName],
) -> Result<Option<Vec<AgentName>>, M::Error> {
    let removed = remove(mesh, instance, agents, Unknown::Remove).await?;
    Ok(removed.map(|removed| removed.gone))
}

/// What is done with an agent of which it is not known in time whether another process serves it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// The process itself says that it leaves.
    Remove,
    /// A record can name any agent, and so many that the server cannot say it of all in time.
    Keep,
}

/// The outcome of a removal.
struct Removed {
    /// The agents that no process serves.
    gone: Vec<AgentName>,
    /// The agents of which this is not known, which are kept.
    unknown: Vec<AgentName>,
}

/// As [`remove_agents`].
async fn remove<M: Mesh>(
    mesh: &M,
    instance: &Instance,
    agents: &[AgentName],
    if_unknown: Unknown,
) -> Result<Option<Removed>, M::Error> {
    // The answers of the first attempt count for all.
    let mut subscribed: Option<Subscribed> = None;
    for _ in 0..MAX_ATTEMPTS {
        // The catalog first: a process that registers after it was read changes its revision. If `instance` has written
        // its record since, its agents are served.
        let listing = mesh.listing().await?;
        let instances = mesh.instances().await?;
        let served = served(&instances);
        let unserved = agents.iter().filter(|agent| !served.contains(agent));
        let unserved: Vec<AgentName> = unserved.cloned().collect();
        let subscribed = match &mut subscribed {
            Some(subscribed) => &*subscribed,
            none => none.insert(with_other_subscribers(mesh, &unserved, instance).await),
        };
        let is_unknown =
            |agent: &AgentName| if_unknown == Unknown::Keep && subscribed.unknown.contains(agent);
        let is_subscribed = |agent: &AgentName| subscribed.by_others.contains(agent);
        let (unknown, known): (Vec<AgentName>, Vec<AgentName>) =
            unserved.into_iter().partition(is_unknown);
        let gone: Vec<AgentName> = (known.into_iter())
            .filter(|agent| !is_subscribed(agent))
            .collect();
        let listed: BTreeSet<&AgentName> = listing.agents.iter().map(|agent| &agent.name).collect();
        let is_listed = |agent: &&AgentName| listed.contains(*agent);
        let removed: Vec<AgentName> = gone.iter().filter(is_listed).cloned().collect();
        if removed.is_empty() || mesh.remove_agents(&removed, listing.revision).await? {
            return Ok(Some(Removed { gone, unknown }));
        }
    }
    tracing::debug!(instance = %instance.id, "the catalog changes too often to remove agents");
    Ok(None)
}

/// What the server says about the subscriptions to agents.
struct Subscribed {
    by_others: BTreeSet<AgentName>,
    /// The agents of which the server has not said it in time, while it has of others.
    unknown: BTreeSet<AgentName>,
}

/// Asks to which of `agents` a process other than `instance` subscribes. Processes of other SDKs may serve agents without a
/// record. An agent counts as one without subscribers if the server refuses to say it, or says nothing at all.
async fn with_other_subscribers<M: Mesh>(
    mesh: &M,
    agents: &[AgentName],
    instance: &Instance,
) -> Subscribed {
    let questions: Vec<_> = agents
        .iter()
        .map(|agent| async move { (agent, mesh.subscribers(agent).await) })
        .collect();
    let mut answers = stream::iter(questions).buffer_unordered(MAX_CONCURRENT);
    let mut subscribed = Subscribed {
        by_others: BTreeSet::new(),
        unknown: agents.iter().cloned().collect(),
    };
    let mut is_silent = true;
    let end = Instant::now() + QUESTIONS_TIMEOUT;
    while let Ok(Some((agent, answer))) = timeout_at(end, answers.next()).await {
        match answer {
            Ok(subscribers) => {
                is_silent = false;
                subscribed.unknown.remove(agent);
                if subscribers.has_other_than(instance) {
                    subscribed.by_others.insert(agent.clone());
                }
            }
            Err(error) => {
                tracing::debug!(%agent, %error, "the subscriptions of an agent are unknown");
            }
        }
    }
    if is_silent {
        subscribed.unknown.clear();
    }
    subscribed
}

fn now() -> String {
    // The format fails only for years beyond 9999.
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}
