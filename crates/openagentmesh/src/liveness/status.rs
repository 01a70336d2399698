//! The state of the liveness of a mesh, as an operator sees it. Only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use openagentmesh_monitor as monitor;
use openagentmesh_protocol::bucket::{LEASES, MONITOR_KEY};
use openagentmesh_protocol::{AgentName, InstanceId, InstanceState};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use super::connections::LiveConnections;
use super::instance::Instance;
use super::monitored::lease_holder;
use super::records::{Records, read_last};
use crate::error::Result;
use crate::store::Meaning;
use crate::transport::Connection;

/// The subject of a read of the monitor's lease.
const READ_LEASE: &str = "$JS.API.STREAM.MSG.GET.KV_mesh-leases";
/// The number of agents whose subscriptions are asked for. The server searches all connections for each.
const MAX_QUESTIONS: usize = 256;
/// The number of concurrent questions.
const MAX_CONCURRENT: usize = 16;
/// The limit of all questions.
const QUESTIONS_TIMEOUT: Duration = Duration::from_secs(4);

/// The active monitor of the mesh, by its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MonitorStatus {
    /// The process that holds the lease.
    pub holder: InstanceId,
    /// The time since the last renewal, by the clock of the server; `None` if the server does not report its time.
    pub renewed_ago: Option<Duration>,
}

impl MonitorStatus {
    /// Whether the lease is over: the holder is gone, and the next monitor takes the lease.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        let lease = monitor::Settings::default().lease;
        self.renewed_ago.is_some_and(|renewed| renewed > lease)
    }
}

/// A process that serves agents, as its record and the server say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceStatus {
    /// The process, as its record says.
    pub instance: Instance,
    /// Whether the connection that the record names exists; `None` when the server does not say.
    pub is_connected: Option<bool>,
    /// The time since the last renewal, by the clock of the server; `None` if the server does not report its time.
    pub renewed_ago: Option<Duration>,
}

impl InstanceStatus {
    /// Whether the process has not renewed its record for the time of its lease: it is dead or frozen.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        match (self.renewed_ago, self.instance.lease) {
            (Some(renewed), Some(lease)) => renewed > lease,
            _ => false,
        }
    }
}

/// An agent in the catalog that no instance record names. Processes of the published Python SDKs write no record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnrecordedAgent {
    /// The name of the agent.
    pub agent: AgentName,
    /// Whether a connection subscribes to the requests of the agent, and a process therefore serves it. `None` when that
    /// is not known: the agent takes no requests, or the server does not say.
    pub is_subscribed: Option<bool>,
}

/// The monitor's lease; `None` if no process holds it. `now` is the time of the server.
///
/// # Errors
///
/// `connection_denied` when the server does not permit the read; when the bucket does not exist, or the server does not
/// answer in time.
pub(crate) async fn monitor_status(
    connection: &Connection,
    now: Option<OffsetDateTime>,
) -> Result<Option<MonitorStatus>> {
    let stored = read_last(connection, LEASES, READ_LEASE, MONITOR_KEY).await?;
    let value = stored.filter(|message| message.meaning == Meaning::Value);
    Ok(value.and_then(|message| {
        Some(MonitorStatus {
            holder: lease_holder(&message.payload)?,
            renewed_ago: since(message.published, now),
        })
    }))
}

/// The processes that serve agents, in the order of their ids. `now` is the time of the server.
///
/// # Errors
///
/// When the records cannot be read.
pub(crate) async fn instance_status(
    records: &Records,
    live: &LiveConnections,
    now: Option<OffsetDateTime>,
) -> Result<Vec<InstanceStatus>> {
    let records = records.dated().await?;
    let connections = match records.is_empty() {
        true => None,
        false => live
            .all()
            .await
            .inspect_err(|error| tracing::debug!(%error, "the connections are not known"))
            .ok(),
    };
    let mut instances: Vec<InstanceStatus> = records
        .into_iter()
        .map(|(found, published)| InstanceStatus {
            is_connected: match connections.as_ref().map(|all| all.presence(&found)) {
                Some(monitor::Presence::Present) => Some(true),
                Some(monitor::Presence::Absent) => Some(false),
                Some(monitor::Presence::Unknown) | None => None,
            },
            renewed_ago: since(published, now),
            instance: Instance::new(found.id, found.record),
        })
        .collect();
    instances.sort_unstable_by(|a, b| a.instance.id.as_str().cmp(b.instance.id.as_str()));
    Ok(instances)
}

/// Those of `agents` that no living one of `instances` names, in the order of their names. Each agent comes with whether it
/// takes requests.
pub(crate) async fn unrecorded_agents(
    live: &LiveConnections,
    agents: BTreeMap<AgentName, bool>,
    instances: &[InstanceStatus],
) -> Vec<UnrecordedAgent> {
    let recorded: BTreeSet<&AgentName> = instances
        .iter()
        .filter(|status| status.instance.state != Some(InstanceState::Dead))
        .flat_map(|status| &status.instance.agents)
        .collect();
    let mut unrecorded = agents;
    unrecorded.retain(|agent, _| !recorded.contains(agent));
    let asked: Vec<AgentName> = unrecorded
        .iter()
        .filter(|(_, is_invocable)| **is_invocable)
        .map(|(agent, _)| agent.clone())
        .take(MAX_QUESTIONS)
        .collect();
    let questions = asked.into_iter().map(|agent| async move {
        let subscribers = live.of_agent(&agent).await;
        (agent, subscribers)
    });
    let mut answers = stream::iter(questions).buffer_unordered(MAX_CONCURRENT);
    let mut subscribed = BTreeMap::new();
    let end = Instant::now() + QUESTIONS_TIMEOUT;
    while let Ok(Some((agent, answer))) = timeout_at(end, answers.next()).await {
        match answer {
            Ok(subscribers) => {
                subscribed.insert(agent, !subscribers.is_empty());
            }
            Err(error) => {
                tracing::debug!(%agent, %error, "the subscriptions of an agent are unknown");
            }
        }
    }
    let unrecorded = unrecorded.into_keys().map(|agent| UnrecordedAgent {
        is_subscribed: subscribed.get(&agent).copied(),
        agent,
    });
    unrecorded.collect()
}

/// The time since `written`; zero if `now` was read before.
fn since(written: OffsetDateTime, now: Option<OffsetDateTime>) -> Option<Duration> {
    let age = now? - written;
    Some(Duration::try_from(age).unwrap_or_default())
}
