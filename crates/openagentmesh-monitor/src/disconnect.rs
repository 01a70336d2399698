//! The server's advisory that a client has disconnected.

use openagentmesh_protocol::{ConnectionId, InstanceId};
use serde::Deserialize;

/// A connection that has ended, as the server's advisory says.
///
/// ```
/// use openagentmesh_monitor::Disconnect;
///
/// let advisory = br#"{"server": {"id": "NA"}, "client": {"id": 7, "name": "oam-host-abc"}}"#;
/// let disconnect = Disconnect::parse(advisory).unwrap();
/// assert_eq!(disconnect.connection.client_id, 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// The connection.
    pub connection: ConnectionId,
    /// The instance that the client's name names. Any client can take any name.
    pub instance: Option<InstanceId>,
}

#[derive(Deserialize)]
struct Advisory {
    server: Server,
    client: Client,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Client {
    id: u64,
    #[serde(default)]
    name: String,
}

impl Disconnect {
    /// Reads an advisory; `None` if it cannot be read. Any client may publish to the subject of advisories that an
    /// account imports: an advisory is a reason to look, and no proof.
    #[must_use]
    pub fn parse(advisory: &[u8]) -> Option<Self> {
        let Advisory { server, client } = serde_json::from_slice(advisory).ok()?;
        let id = client.name.strip_prefix("oam-host-");
        Some(Self {
            connection: ConnectionId {
                server_id: server.id,
                client_id: client.id,
            },
            instance: id.and_then(|id| InstanceId::parse(id).ok()),
        })
    }
}
