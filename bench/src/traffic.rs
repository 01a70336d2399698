//! The traffic of a process, as counted by the server.

use std::collections::{BTreeMap, BTreeSet};
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
        const PAGE: usize = 512;
        let mut traffic = BTreeMap::new();
        for offset in (0..).step_by(PAGE) {
            // Sorted by their number: a new connection is on the last page.
            let request = format!(r#"{{"limit": {PAGE}, "offset": {offset}, "sort": "cid"}}"#);
            let reply = self
                .client
                .request("$SYS.REQ.SERVER.PING.CONNZ", request.into())
                .await?;
            let reply: Reply = serde_json::from_slice(&reply.payload)?;
            let is_last = reply.data.connections.len() < PAGE;
            traffic.extend(reply.data.connections.into_iter().map(|connection| {
                let traffic = Traffic {
                    // The server counts from its own view.
                    messages_sent: connection.in_msgs,
                    bytes_sent: connection.in_bytes,
                    bytes_received: connection.out_bytes,
                };
                (connection.cid, traffic)
            }));
            if is_last {
                break;
            }
        }
        Ok(traffic)
    }

    /// The connections that have been opened since `earlier`.
    pub(crate) async fn opened_since(
        &self,
        earlier: &BTreeMap<u64, Traffic>,
    ) -> Result<BTreeSet<u64>> {
        let mut connections = self.read().await?;
        connections.retain(|connection, _| !earlier.contains_key(connection));
        Ok(connections.into_keys().collect())
    }

    /// The bytes that all `connections` have received, as soon as they receive hardly more within `period`: the
    /// heartbeats of their subscriptions do not end.
    pub(crate) async fn received(
        &self,
        connections: &BTreeSet<u64>,
        period: Duration,
    ) -> Result<u64> {
        /// More than the heartbeats of a subscription, in bytes per second.
        const HEARTBEATS: f64 = 250.0;
        let heartbeats = HEARTBEATS * period.as_secs_f64() * connections.len() as f64;
        let total = async || -> Result<u64> {
            let mut traffic = self.read().await?;
            traffic.retain(|connection, _| connections.contains(connection));
            if traffic.len() != connections.len() {
                let (open, all) = (traffic.len(), connections.len());
                return Err(format!("{open} of {all} connections are open").into());
            }
            Ok(traffic.values().map(|traffic| traffic.bytes_received).sum())
        };
        let mut received = total().await?;
        loop {
            tokio::time::sleep(period).await;
            let later = total().await?;
            if (later - received) as f64 <= heartbeats {
                return Ok(later);
            }
            received = later;
        }
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
