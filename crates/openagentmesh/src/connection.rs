//! The connection, and what the rest needs to know of its ups and downs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, Event, HeaderMap, jetstream};
use bytes::Bytes;
use futures::StreamExt;
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

    /// Waits until the server has done everything that it was asked for before: a message of one's own
    /// comes back behind all of it.
    ///
    /// # Errors
    ///
    /// `connection_failed` when there is no connection for 2 s.
    pub(crate) async fn synchronize(&self) -> Result<()> {
        match tokio::time::timeout(FLUSH, self.echo()).await {
            Ok(echoed) => echoed,
            Err(_) => Err(wire::closed("the server has not been reached for a while")),
        }
    }

    async fn echo(&self) -> Result<()> {
        let inbox = self.client.new_inbox();
        let subscribed = self.client.subscribe(inbox.clone()).await;
        let mut echo = subscribed.map_err(|error| wire::closed(error.to_string()))?;
        wire::publish(&self.client, inbox, None, HeaderMap::new(), Bytes::new()).await?;
        match echo.next().await {
            Some(_) => Ok(()),
            None => Err(wire::closed("it was closed meanwhile")),
        }
    }

    /// Whether there is a connection now, as far as is known.
    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
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
                    tracing::info!("the connection to the mesh is back");
                    self.reconnections.send_modify(|count| *count += 1);
                }
            }
            Event::Disconnected => {
                tracing::warn!("the connection to the mesh is lost; connecting again");
                self.was_lost.store(true, Ordering::Relaxed);
            }
            Event::Draining | Event::Closed => tracing::debug!(%event, "connection"),
            Event::LameDuckMode => tracing::info!("the server is about to shut down"),
            // Every attempt that fails, several times a second.
            Event::ClientError(error) => tracing::debug!(%error, "connection"),
            _ => tracing::warn!(%event, "connection"),
        }
    }
}
