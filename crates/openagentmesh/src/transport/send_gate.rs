//! Holds messages back while the connection is lost.

use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;

use super::client_slot::ClientSlot;
use super::headers::closed;
use super::monitor::ConnectionMonitor;
use crate::error::Result;

/// The maximum time between a change of the client's state and the check of a waiting sender. The client reports its
/// changes after it has made them.
const RECHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Holds messages back while the connection is lost.
///
/// The client queues every message that is handed to it while it has no connection, and sends the queue after it has
/// reconnected, although the senders may have given up by then. The SDK therefore waits with the message until the
/// client is connected. A sender that gives up drops its wait, and the message with it.
#[derive(Clone)]
pub(super) struct SendGate {
    slot: ClientSlot,
    monitor: ConnectionMonitor,
}

impl SendGate {
    pub(super) fn new(slot: &ClientSlot, monitor: &ConnectionMonitor) -> Self {
        Self {
            slot: slot.clone(),
            monitor: monitor.clone(),
        }
    }

    /// Whether the current client is connected.
    pub(super) fn is_open(&self) -> bool {
        self.slot.is_alive() && self.slot.with_client(is_connected)
    }

    /// Waits until the current client is connected. Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed instead.
    pub(super) async fn opened(&self) -> Result<()> {
        while !self.is_open() {
            let mut changes = self.monitor.loss_changes();
            if self.is_open() {
                return Ok(());
            }
            let changed = tokio::time::timeout(RECHECK_INTERVAL, changes.changed());
            let closing = self.monitor.closed();
            if closing.run_until_cancelled(changed).await.is_none() && !self.is_open() {
                return Err(closed("it was lost before"));
            }
        }
        Ok(())
    }
}

/// Whether `client` is connected, as far as it knows.
pub(super) fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}
