//! The agents of each host, and the notice that an agent's last host is gone.

use openagentmesh_name::AgentName;
use serde::{Deserialize, Serialize};

use crate::InstanceId;

/// The value of the instances bucket at a host's instance id, written by that host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The agents that the host serves.
    pub agents: Vec<AgentName>,
}

/// Notice that an agent's last host is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathNotice {
    /// The agent without a host.
    pub agent: AgentName,
    /// The reason of the host's end.
    pub reason: DeathReason,
    /// Time of detection, as an RFC 3339 timestamp.
    pub detected_at: String,
    /// The host that is gone.
    pub instance_id: InstanceId,
}

/// The reason of a host's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum DeathReason {
    /// The host's connection was lost.
    Disconnect,
    /// The host shut down gracefully.
    GracefulShutdown,
    /// A reason unknown to this version.
    Other(String),
}

impl From<String> for DeathReason {
    fn from(reason: String) -> Self {
        match reason.as_str() {
            "disconnect" => Self::Disconnect,
            "graceful_shutdown" => Self::GracefulShutdown,
            _ => Self::Other(reason),
        }
    }
}

impl From<DeathReason> for String {
    fn from(reason: DeathReason) -> Self {
        match reason {
            DeathReason::Disconnect => "disconnect".to_owned(),
            DeathReason::GracefulShutdown => "graceful_shutdown".to_owned(),
            DeathReason::Other(reason) => reason,
        }
    }
}
