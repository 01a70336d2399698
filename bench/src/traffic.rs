//! The traffic of a process, as counted by the server.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use openagentmesh_local::LocalServer;
use serde::Deserialize;

use crate::error::Result;

/// The traffic of a connection has ended if it is unchanged for this time.
const QUIET_PERIOD: Duration = Duration::from_millis(200);

/// The traffic of one connection, from the view of its client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) messages_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
}

impl Traffic {
    /// The traffic after `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            messages_sent: self.messages_sent - earlier.messages_sent,
            bytes_sent: self.bytes_sent - earlier.bytes_sent,
            bytes_received: self.bytes_received - earlier.bytes_received,
        }
    }
}

/// Reads the counters through the system account, whose own traffic is not counted.
pub(crate) struct Meter {
    client: Client,
}

impl Meter {
    pub(crate) async fn connect(server: &LocalServer) -> Result<Self> {
        let (user, password) = (server.system_user(), server.system_password());
        let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
        Ok(Self {
            client: options.connect(server.url()).await?,
        })
    }

    /// The traffic of every connection, by its number.
    pub(crate) async fn read(&self) -> Result<BTreeMap<u64, Traffic>> {
        let request = r#"{"limit": 1024}"#;
        let reply = self
            .client
            .request("$SYS.REQ.SERVER.PING.CONNZ", request.into())
            .await?;
        let reply: Reply = serde_json::from_slice(&reply.payload)?;
        let traffic = reply.data.connections.into_iter().map(|connection| {
            let traffic = Traffic {
                // The server counts from its own view.
                messages_sent: connection.in_msgs,
                bytes_sent: connection.in_bytes,
                bytes_received: connection.out_bytes,
            };
            (connection.cid, traffic)
        });
        Ok(traffic.collect())
    }

    /// The traffic of `connection` after it has ended.
    pub(crate) async fn settled(&self, connection: u64) -> Result<Traffic> {
        let read = async || -> Result<Traffic> {
            let traffic = self.read().await?.remove(&connection);
            traffic.ok_or_else(|| "the connection is closed".into())
        };
        let mut traffic = read().await?;
        loop {
            tokio::time::sleep(QUIET_PERIOD).await;
            let later = read().await?;
            if later == traffic {
                return Ok(traffic);
            }
            traffic = later;
        }
    }
}

#[derive(Deserialize)]
struct Reply {
    data: Connections,
}

#[derive(Deserialize)]
struct Connections {
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    in_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
}
