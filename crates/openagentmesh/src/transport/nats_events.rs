//! The events of a client that the program has made.

use std::fmt;
use std::sync::Arc;

use async_nats::{Event, ServerError};

use super::monitor::ConnectionMonitor;
use crate::util::sync::Mutex;

/// Passes the events of a NATS client on to the meshes that use the client; see
/// [`MeshBuilder::nats_client_with_events`](crate::MeshBuilder::nats_client_with_events). A clone passes them to the
/// same meshes.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use openagentmesh::{AgentMesh, NatsEvents, async_nats};
///
/// let events = NatsEvents::new();
/// let observer = events.clone();
/// let client = async_nats::ConnectOptions::new()
///     .event_callback(move |event| {
///         observer.observe(&event);
///         // The program's own reaction to the event.
///         async move { println!("{event}") }
///     })
///     .connect("nats://127.0.0.1:4222")
///     .await?;
/// let mesh = AgentMesh::builder().nats_client_with_events(client, &events).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct NatsEvents(Arc<Mutex<Vec<ConnectionMonitor>>>);

impl NatsEvents {
    /// Events of a client that is still to be made.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes `event` on. To be called in the client's event callback, with each event. Never blocks.
    pub fn observe(&self, event: &Event) {
        for monitor in self.0.lock().iter() {
            match event {
                // The permissions may be those of another user now.
                Event::Connected => monitor.denials().connected(),
                // Losses are polled: events of the time before the mesh was made are missing here.
                Event::ServerError(ServerError::Other(_)) | Event::ClientError(_) => {
                    monitor.observe(event);
                }
                _ => {}
            }
        }
    }

    /// Passes later events on to `monitor`, until its connection is closed.
    pub(super) fn attach(&self, monitor: &ConnectionMonitor) {
        let mut monitors = self.0.lock();
        monitors.retain(|other| !other.closed().is_cancelled());
        monitors.push(monitor.clone());
    }
}

impl fmt::Debug for NatsEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsEvents").finish_non_exhaustive()
    }
}
