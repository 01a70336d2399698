//! Replaces the client of a connection each time that it dies.

use std::convert::Infallible;
use std::sync::Arc;

use async_nats::{Client, ClientError, Event};
use tokio::sync::oneshot;

use super::client_slot::{ClientSlot, WeakSlot};
use super::dial::Dialer;
use super::monitor::ConnectionMonitor;
use crate::util::sync::Mutex;

/// A client that was dialed.
pub(super) struct Dialed {
    pub(super) client: Client,
    pub(super) events: Arc<Events>,
    pub(super) death: Death,
}

/// Resolves when the client has ended: the sender is dropped with the callback for its events.
pub(super) type Death = oneshot::Receiver<Infallible>;

/// Passes the events of one client on to the monitor. The client's first connect is passed on once the client is in
/// use: until then, the connection stays lost for its users.
pub(super) struct Events {
    monitor: ConnectionMonitor,
    state: Mutex<EventState>,
}

#[derive(Default)]
struct EventState {
    is_in_use: bool,
    is_connected: bool,
}

impl Events {
    pub(super) fn new(monitor: &ConnectionMonitor) -> Arc<Self> {
        Arc::new(Self {
            monitor: monitor.clone(),
            state: Mutex::default(),
        })
    }

    pub(super) fn observe(&self, event: &Event) {
        let mut state = self.state.lock();
        match event {
            Event::Connected => {
                state.is_connected = true;
                self.monitor.connected();
                if state.is_in_use {
                    self.monitor.restored();
                }
            }
            Event::Disconnected => {
                state.is_connected = false;
                self.monitor.observe(event);
            }
            _ => self.monitor.observe(event),
        }
    }

    /// The client is in use from now on.
    fn start(&self) {
        let mut state = self.state.lock();
        state.is_in_use = true;
        if state.is_connected {
            self.monitor.restored();
        }
    }
}

impl Dialed {
    /// A slot with this client, which is replaced when it dies, until the connection is closed.
    pub(super) fn supervise(self, dialer: Dialer) -> ClientSlot {
        let slot = ClientSlot::new(self.client, true, dialer.monitor.closed());
        self.events.start();
        tokio::spawn(supervise(slot.downgrade(), dialer, self.death));
        slot
    }
}

async fn supervise(slot: WeakSlot, dialer: Dialer, mut death: Death) {
    let closed = dialer.monitor.closed();
    closed
        .run_until_cancelled(async {
            loop {
                // The sender sends nothing.
                drop(death.await);
                // Otherwise the client has ended because it was no longer in use.
                let Some(dead) = slot.upgrade() else { return };
                dialer.monitor.observe(&Event::Disconnected);
                dead.retire().await;
                drop(dead);
                match redial(&slot, &dialer).await {
                    Some(next) => death = next,
                    None => return,
                }
            }
        })
        .await;
}

/// Dials until a client is in the place of the dead one. `None` when the slot is no longer in use.
async fn redial(slot: &WeakSlot, dialer: &Dialer) -> Option<Death> {
    loop {
        // The monitor delays each attempt.
        let dialed = match dialer.connect(slot.upgrade()?.discovered_servers()).await {
            Ok(dialed) => dialed,
            Err(error) => {
                let error = ClientError::Other(error.kind().to_string());
                dialer.monitor.observe(&Event::ClientError(error));
                continue;
            }
        };
        match slot.upgrade()?.replace(dialed.client).await {
            Ok(()) => {
                dialed.events.start();
                return Some(dialed.death);
            }
            Err(error) => tracing::debug!(%error, "a new client has ended, too"),
        }
    }
}
