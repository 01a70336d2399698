//! Replaces the client of a connection each time that it dies.

use async_nats::{ClientError, Event};

use super::client_slot::{ClientSlot, WeakSlot};
use super::dialer::{Death, Dialed, Dialer};

/// A slot with the client that was dialed, which is replaced when it dies, until the connection is closed.
pub(super) fn supervise(dialed: Dialed, dialer: Dialer) -> ClientSlot {
    let slot = ClientSlot::new(dialed.client, true, dialer.monitor.closed());
    dialed.events.start();
    tokio::spawn(replace_dead(slot.downgrade(), dialer, dialed.death));
    slot
}

async fn replace_dead(slot: WeakSlot, dialer: Dialer, mut death: Death) {
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
