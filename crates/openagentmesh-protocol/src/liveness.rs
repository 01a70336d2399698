//! Which processes serve which agents, and the notices that one of them is gone.

use openagentmesh_name::AgentName;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::InstanceId;
use crate::lenient::{Text, null_is_default};

/// The value of the instances bucket at an instance id, written by that instance.
///
/// Peers read `agents` alone, and some write no other field. A reader therefore treats every other field as
/// optional.
///
/// ```
/// use openagentmesh_protocol::InstanceRecord;
///
/// let record: InstanceRecord = serde_json::from_str(r#"{"agents": ["echo", "not a name", 7]}"#)?;
/// assert_eq!(record.agents.len(), 1);
/// assert_eq!(record.lease_ms, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The agents that the instance serves. A reader leaves out what is no name of an agent, and the names beyond
    /// [`MAX_INSTANCE_AGENTS`].
    #[serde(default, deserialize_with = "valid_names")]
    pub agents: Vec<AgentName>,
    /// The time after which an unchanged record is expired, in milliseconds. `None`: the record does not expire.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub lease_ms: Option<u64>,
    /// The time of this write, as an RFC 3339 timestamp of the instance's clock. For people: readers measure the
    /// lease by clocks of their own.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub renewed_at: Option<String>,
    /// The time at which the instance started to serve, as an RFC 3339 timestamp.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub started_at: Option<String>,
    /// The state of the instance.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub state: Option<InstanceState>,
    /// The client id of the instance's NATS connection, unique at its server.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub client_id: Option<u64>,
    /// The id of the server that has the connection.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub server_id: Option<String>,
    /// Name and version of the SDK, as in `rust/0.1.0`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub sdk: Option<String>,
}

impl InstanceRecord {
    /// The NATS connection of the instance, where the record names it.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionId> {
        Some(ConnectionId {
            server_id: self.server_id.clone()?,
            client_id: self.client_id?,
        })
    }
}

/// The number of agents of one instance that a reader takes into account. Its record and the notice of its end can name any,
/// and each costs its readers a notice or a question to the server.
pub const MAX_INSTANCE_AGENTS: usize = 20_000;

/// Reads the valid names of a list, as many as a reader takes into account. One invalid element does not hide the others.
fn valid_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AgentName>, D::Error> {
    let names: Option<ValidNames> = Option::deserialize(deserializer)?;
    Ok(names.map_or_else(Vec::new, |names| names.0))
}

struct ValidNames(Vec<AgentName>);

impl<'de> Deserialize<'de> for ValidNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = ValidNames;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of names")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ValidNames, A::Error> {
                let mut names = Vec::new();
                while names.len() < MAX_INSTANCE_AGENTS {
                    match list.next_element()? {
                        Some(Text::Value(name)) => names.extend(AgentName::new(name).ok()),
                        Some(Text::Null | Text::Other) => {}
                        None => return Ok(ValidNames(names)),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(ValidNames(names))
            }
        }

        deserializer.deserialize_seq(Names)
    }
}

/// One connection of a NATS client.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The id of the server, which changes when the server restarts.
    pub server_id: String,
    /// The client id, unique at that server.
    pub client_id: u64,
}

/// The state of an instance, as its record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum InstanceState {
    /// The instance accepts requests.
    Serving,
    /// The instance finishes accepted requests and accepts no others.
    Draining,
    /// The monitor has found the instance dead and is removing its entries.
    Dead,
    /// A state unknown to this version.
    Other(String),
}

impl InstanceState {
    /// The word in the record.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Dead => "dead",
            Self::Other(state) => state,
        }
    }
}

impl From<String> for InstanceState {
    fn from(state: String) -> Self {
        match state.as_str() {
            "serving" => Self::Serving,
            "draining" => Self::Draining,
            "dead" => Self::Dead,
            _ => Self::Other(state),
        }
    }
}

impl From<InstanceState> for String {
    fn from(state: InstanceState) -> Self {
        match state {
            InstanceState::Other(state) => state,
            known => known.as_str().to_owned(),
        }
    }
}

/// Notice that an agent's last instance is gone. Peers fail every pending request to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeathNotice {
    /// The agent without an instance.
    pub agent: AgentName,
    /// The reason of the instance's end.
    pub reason: DeathReason,
    /// Time of detection, as an RFC 3339 timestamp.
    pub detected_at: String,
    /// The instance that is gone.
    pub instance_id: InstanceId,
}

/// Notice that an instance is gone, whether or not others serve its agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceNotice {
    /// The instance that is gone.
    pub instance_id: InstanceId,
    /// The reason of its end.
    pub reason: DeathReason,
    /// Time of detection, as an RFC 3339 timestamp.
    pub detected_at: String,
    /// The agents that the instance served.
    #[serde(default, deserialize_with = "valid_names")]
    pub agents: Vec<AgentName>,
}

/// The reason of an instance's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum DeathReason {
    /// The instance's connection was lost, or its lease expired.
    Disconnect,
    /// The instance shut down gracefully.
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
