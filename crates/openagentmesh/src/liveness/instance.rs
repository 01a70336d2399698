//! A process of the mesh, as its record says.

use std::time::Duration;

use openagentmesh_protocol::{AgentName, InstanceId, InstanceRecord, InstanceState};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A process that serves agents, as its record says; returned by [`Client::instances`](crate::Client::instances).
///
/// Processes of other SDKs may write the names of their agents alone. All other fields are therefore optional.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instance {
    /// The instance id, as in [`Client::instance_id`](crate::Client::instance_id).
    pub id: InstanceId,
    /// The agents that the process serves, in the order of their names.
    pub agents: Vec<AgentName>,
    /// Whether the process serves, finishes its last requests, or was found dead.
    pub state: Option<InstanceState>,
    /// The time at which the process registered its first agent, by its own clock.
    pub started_at: Option<OffsetDateTime>,
    /// The time of the last renewal of the record, by the clock of the process.
    pub renewed_at: Option<OffsetDateTime>,
    /// The time without a renewal after which the process counts as dead.
    pub lease: Option<Duration>,
    /// Name and version of the SDK, as in `rust/0.1.0`.
    pub sdk: Option<String>,
}

impl Instance {
    pub(super) fn new(id: InstanceId, record: InstanceRecord) -> Self {
        let mut agents = record.agents;
        agents.sort_unstable();
        Self {
            id,
            agents,
            state: record.state,
            started_at: time(record.started_at),
            renewed_at: time(record.renewed_at),
            lease: record.lease_ms.map(Duration::from_millis),
            sdk: record.sdk,
        }
    }
}

fn time(text: Option<String>) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(&text?, &Rfc3339).ok()
}
