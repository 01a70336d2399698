//! Leaves a server that is about to shut down, before it closes the connection.

use std::sync::Weak;
use std::time::Duration;

use async_nats::ServerAddr;
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::any_address;
use super::client_slot::{ClientSlot, WeakSlot};
use super::inbox::Inbox;
use super::monitor::ConnectionMonitor;

/// The time that pending replies have before the connection is changed. The server closes connections 10 s after its
/// announcement by default.
const REPLIES_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval at which pending replies are counted, and other servers looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
/// The limit of the connect to another server, and of the last round trip.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);

/// Changes to another of `servers`, or of those that the client has discovered, each time that the server announces
/// its shutdown. Without another one, the connection stays until the server closes it. Ends with the connection.
pub(super) async fn leave_servers(
    slot: WeakSlot,
    inbox: Weak<Inbox>,
    monitor: ConnectionMonitor,
    servers: Vec<ServerAddr>,
) {
    let mut announced = monitor.lame_duck();
    let leaving = async {
        while announced.wait_for(|announced| *announced).await.is_ok() {
            let left = announced.clone();
            let leave = async {
                while let Some(slot) = slot.upgrade() {
                    if let Some(server) = other_server(&slot, &servers).await {
                        tracing::info!(server, "leaving a server that is about to shut down");
                        leave(&slot, &inbox).await;
                        return;
                    }
                    drop(slot);
                    sleep(SEARCH_INTERVAL).await;
                }
            };
            tokio::select! {
                () = leave => {}
                () = is_over(left) => {}
            }
            is_over(announced.clone()).await;
        }
    };
    monitor.closed().run_until_cancelled(leaving).await;
}

/// Resolves when the connection is lost, or made again.
async fn is_over(mut announced: tokio::sync::watch::Receiver<bool>) {
    // The sender is in the monitor of the caller.
    drop(announced.wait_for(|announced| !*announced).await);
}

/// The address of a server that accepts connections. The one that shuts down does not.
async fn other_server(slot: &ClientSlot, servers: &[ServerAddr]) -> Option<String> {
    let discovered = slot.discovered_servers();
    let discovered = discovered.iter().filter_map(|url| url.parse().ok());
    for server in servers.iter().cloned().chain(discovered) {
        if let Ok(Ok(_)) = timeout(STEP_TIMEOUT, any_address::connect(&server)).await {
            return Some(format!("{}:{}", server.host(), server.port()));
        }
    }
    None
}

/// Waits until no reply is pending and everything that was sent has arrived, and reconnects.
async fn leave(slot: &ClientSlot, inbox: &Weak<Inbox>) {
    let deadline = Instant::now() + REPLIES_TIMEOUT;
    while Instant::now() < deadline && inbox.upgrade().is_some_and(|inbox| inbox.pending() > 0) {
        sleep(CHECK_INTERVAL).await;
    }
    let client = slot.client();
    let round_trip = async {
        let subject = client.new_inbox();
        let mut messages = slot.subscribe_once(subject.clone()).await.ok()?;
        client.publish(subject, Bytes::new()).await.ok()?;
        messages.next().await
    };
    if !matches!(timeout(STEP_TIMEOUT, round_trip).await, Ok(Some(_))) {
        tracing::debug!("no round trip before the server was left");
    }
    if let Err(error) = client.force_reconnect().await {
        tracing::debug!(%error, "the connection has ended");
    }
}
