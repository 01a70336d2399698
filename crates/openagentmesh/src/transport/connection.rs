//! The connection of a process, and its close.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, jetstream};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::headers::closed;
use super::inbox::Inbox;
use super::monitor::ConnectionMonitor;
use super::publisher::Publisher;
use crate::error::Result;

/// The limit of a flush.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The NATS client of a process, and the parts of the SDK that belong to its connection.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    /// Sends every message of the SDK.
    pub(crate) publisher: Arc<Publisher>,
    /// Receives every reply.
    pub(crate) inbox: Arc<Inbox>,
    /// Counts reconnections; the monitor writes it. A reader that caches server state checks it again when
    /// the count changes, because the server may have lost that state.
    reconnections: watch::Receiver<u64>,
    /// Cancelled when the connection is closed: a lost one is not dialed again.
    closed: CancellationToken,
}

impl Connection {
    /// `monitor` observes `client`.
    pub(crate) fn new(client: Client, monitor: &ConnectionMonitor) -> Self {
        let publisher = Arc::new(Publisher::new(&client));
        Self {
            jetstream: jetstream::new(client.clone()),
            inbox: Arc::new(Inbox::new(&client, &publisher)),
            publisher,
            client,
            reconnections: monitor.reconnections(),
            closed: monitor.closed(),
        }
    }

    /// The number of times that the connection was lost and dialed again.
    pub(crate) fn reconnections(&self) -> u64 {
        *self.reconnections.borrow()
    }

    pub(crate) fn watch_reconnections(&self) -> watch::Receiver<u64> {
        self.reconnections.clone()
    }

    /// Waits until the server has received everything that was published before.
    ///
    /// # Errors
    ///
    /// `connection_failed` without a connection for 2 s.
    pub(crate) async fn flush(&self) -> Result<()> {
        let flushed = async {
            self.publisher.flush().await;
            self.client.flush().await
        };
        match tokio::time::timeout(FLUSH_TIMEOUT, flushed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(closed(error.to_string())),
            Err(_) => Err(server_silent()),
        }
    }

    /// Waits until the server has processed everything that was sent before: a message to a subject of this
    /// process's own comes back after all of it.
    ///
    /// # Errors
    ///
    /// `connection_failed` without a connection for 2 s.
    pub(crate) async fn synchronize(&self) -> Result<()> {
        match tokio::time::timeout(FLUSH_TIMEOUT, self.round_trip()).await {
            Ok(returned) => returned,
            Err(_) => Err(server_silent()),
        }
    }

    async fn round_trip(&self) -> Result<()> {
        let subject = self.client.new_inbox();
        let subscribed = self.client.subscribe(subject.clone()).await;
        let mut messages = subscribed.map_err(|error| closed(error.to_string()))?;
        let sent = self
            .publisher
            .publish(subject, None, HeaderMap::new(), Bytes::new());
        sent.await?;
        match messages.next().await {
            Some(_) => Ok(()),
            None => Err(closed("the subscription ended before the round trip")),
        }
    }

    /// Whether the client has a connection now.
    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Closes the connection after everything that is buffered was sent. A lost connection is not dialed
    /// again.
    pub(crate) async fn close(&self) {
        self.stop_reconnecting();
        if !self.is_up() {
            return;
        }
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "connection closed before it was flushed");
        }
        match tokio::time::timeout(FLUSH_TIMEOUT, self.client.drain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "connection was closed already"),
            Err(_) => tracing::debug!("connection lost before it was closed"),
        }
    }

    /// Cancelled when the connection is closed.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Does not dial again after this connection is lost: otherwise the client would dial without end, and
    /// then send messages whose callers have given up.
    fn stop_reconnecting(&self) {
        self.closed.cancel();
    }
}

fn server_silent() -> crate::error::Error {
    closed(format!("no answer of the server within {FLUSH_TIMEOUT:?}"))
}

/// Keeps the connection open: when the last guard is dropped, a lost connection is not dialed again.
pub(crate) struct ConnectionGuard(Connection);

impl ConnectionGuard {
    pub(crate) fn new(connection: Connection) -> Arc<Self> {
        Arc::new(Self(connection))
    }
}

impl std::ops::Deref for ConnectionGuard {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.stop_reconnecting();
    }
}
