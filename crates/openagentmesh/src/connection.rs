//! The connection, and what the rest needs to know of its ups and downs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, Event, jetstream};
use tokio::sync::watch;

use crate::error::Result;
use crate::wire;

/// How long a flush waits for a connection that is not there.
const FLUSH: Duration = Duration::from_secs(2);

/// A client, and a count of its reconnections.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    /// Whoever keeps something that a server might have forgotten looks again when this changes.
    reconnections: watch::Receiver<u64>,
}

impl Connection {
    pub(crate) fn new(client: Client, reconnections: watch::Receiver<u64>) -> Self {
        Self {
            jetstream: jetstream::new(client.clone()),
            client,
            reconnections,
        }
    }

    /// How often the connection was lost and found again.
    pub(crate) fn reconnections(&self) -> u64 {
        *self.reconnections.borrow()
    }

    pub(crate) fn watch_reconnections(&self) -> watch::Receiver<u64> {
        self.reconnections.clone()
    }

    /// Waits until everything that was published is with the server.
    ///
    /// # Errors
    ///
    /// `connection_failed` when there is no connection for 2 s.
    pub(crate) async fn flush(&self) -> Result<()> {
        match tokio::time::timeout(FLUSH, self.client.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(wire::closed(error.to_string())),
            Err(_) => Err(wire::closed("the server has not been reached for a while")),
        }
    }

    /// Waits until the server has done everything that it was asked for before: a request that nobody
    /// serves is answered behind all of it.
    ///
    /// # Errors
    ///
    /// `connection_failed` when there is no connection for 2 s.
    pub(crate) async fn synchronize(&self) -> Result<()> {
        let nobody = self.client.new_inbox();
        let ping = self.client.send_request(nobody, async_nats::Request::new());
        match tokio::time::timeout(FLUSH, ping).await {
            // "No responders" is the answer.
            Ok(_) => Ok(()),
            Err(_) => Err(wire::closed("the server has not been reached for a while")),
        }
    }

    /// Closes the connection; without one there is nothing to wait for.
    pub(crate) async fn close(&self) {
        match tokio::time::timeout(FLUSH, self.client.drain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection was closed already"),
            Err(_) => tracing::debug!("the connection was lost before it could be closed"),
        }
    }
}

/// Counts reconnections from the events of a client.
#[derive(Clone)]
pub(crate) struct Observer {
    was_lost: Arc<AtomicBool>,
    reconnections: watch::Sender<u64>,
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self {
            was_lost: Arc::default(),
            reconnections: watch::channel(0).0,
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.reconnections.subscribe()
    }

    pub(crate) fn observe(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::debug!("connected");
                if self.was_lost.swap(false, Ordering::Relaxed) {
                    self.reconnections.send_modify(|count| *count += 1);
                }
            }
            Event::Disconnected => {
                tracing::info!("the connection to the mesh is lost; connecting again");
                self.was_lost.store(true, Ordering::Relaxed);
            }
            Event::Draining | Event::Closed => tracing::debug!(%event, "connection"),
            Event::LameDuckMode => tracing::info!("the server is about to shut down"),
            _ => tracing::warn!(%event, "connection"),
        }
    }
}
