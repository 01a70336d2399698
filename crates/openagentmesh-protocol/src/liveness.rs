//! Who serves what, and the notice that nobody does any more.

use serde::{Deserialize, Serialize};

use crate::{AgentName, InstanceId};

/// What a host keeps under its instance id: the agents it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The agents that the instance serves.
    pub agents: Vec<AgentName>,
}

/// Tells that an agent's last host went away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathNotice {
    /// The agent that nobody serves any more.
    pub agent: AgentName,
    /// How its host went.
    pub reason: DeathReason,
    /// When it was noticed, as an RFC 3339 timestamp.
    pub detected_at: String,
    /// The host that went away.
    pub instance_id: InstanceId,
}

/// How a host went away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum DeathReason {
    /// Its connection was lost.
    Disconnect,
    /// It left in order.
    GracefulShutdown,
    /// A reason that this version does not know.
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
