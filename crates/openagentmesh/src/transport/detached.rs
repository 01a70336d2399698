//! The connection of a process without a mesh: closed from the start.

use async_nats::{Client, ConnectOptions};
use futures::FutureExt;
use tokio::runtime::Builder;

use super::client_slot::ClientSlot;
use super::connection::Connection;
use super::monitor::ConnectionMonitor;

/// An address for the client, which requires one. It is never dialed.
const UNUSED_URL: &str = "nats://127.0.0.1:4222";
/// The first part of the subjects on which the client would receive replies.
const INBOX_PREFIX: &str = "_INBOX";

impl Connection {
    /// The connection of a process without a mesh. Nothing is dialed, and no task is left running.
    ///
    /// The tasks of the client are spawned on a runtime that never polls them and is shut down right away. The
    /// channel of the client is closed then, so that every use of the client fails at once.
    pub(crate) fn detached() -> Self {
        // Without drivers, the runtime takes no resources of the system that it could fail to get.
        let runtime = Builder::new_current_thread()
            .build()
            .unwrap_or_else(|error| unreachable!("a runtime without drivers: {error}"));
        let monitor = ConnectionMonitor::new(INBOX_PREFIX);
        monitor.closed().cancel();
        let connection = {
            let _entered = runtime.enter();
            Self::new(ClientSlot::fixed(undialed_client()), &monitor, None)
        };
        runtime.shutdown_background();
        connection.without_mesh()
    }
}

fn undialed_client() -> Client {
    let connecting = ConnectOptions::new()
        .retry_on_initial_connect()
        .request_timeout(None)
        .connect(UNUSED_URL);
    // With this option, a task dials, and the future only parses the address.
    match connecting.now_or_never() {
        Some(Ok(client)) => client,
        Some(Err(error)) => unreachable!("the address is valid: {error}"),
        None => unreachable!("the client does not wait for a connection"),
    }
}
