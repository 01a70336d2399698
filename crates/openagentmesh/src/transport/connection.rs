//! The connection, and what the rest needs to know of its ups and downs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, Event, HeaderMap, jetstream};
use bytes::Bytes;
use futures::StreamExt;
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Inbox, Publisher};
use crate::error::Result;
use crate::transport;

/// How long a flush waits for a connection that is not there.
const FLUSH: Duration = Duration::from_secs(2);
/// How long to wait before a lost server is dialed for the second time; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// An attempt that comes later than this after the one before is a first one again.
const SOON: Duration = Duration::from_secs(30);

/// A client, and a count of its reconnections.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) jetstream: jetstream::Context,
    /// Whoever keeps something that a server might have forgotten looks again when this changes.
    reconnections: watch::Receiver<u64>,
    closed: CancellationToken,
}

impl Connection {
    /// What `observer` sees is what happens to `client`.
    pub(crate) fn new(client: Client, observer: &ConnectionMonitor) -> Self {
        let publisher = Arc::new(Publisher::new(&client));
        Self {
            jetstream: jetstream::new(client.clone()),
            inbox: Arc::new(Inbox::new(&client, &publisher)),
            publisher,
            client,
            reconnections: observer.reconnections.subscribe(),
            closed: observer.closed.clone(),
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
        let flushed = async {
            self.publisher.flush().await;
            self.client.flush().await
        };
        match tokio::time::timeout(FLUSH, flushed).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(transport::closed(error.to_string())),
            Err(_) => Err(transport::closed(
                "the server has not been reached for a while",
            )),
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
            Err(_) => Err(transport::closed(
                "the server has not been reached for a while",
            )),
        }
    }

    async fn echo(&self) -> Result<()> {
        let inbox = self.client.new_inbox();
        let subscribed = self.client.subscribe(inbox.clone()).await;
        let mut echo = subscribed.map_err(|error| transport::closed(error.to_string()))?;
        let echo_of = self
            .publisher
            .publish(inbox, None, HeaderMap::new(), Bytes::new());
        echo_of.await?;
        match echo.next().await {
            Some(_) => Ok(()),
            None => Err(transport::closed("it was closed meanwhile")),
        }
    }

    /// Whether there is a connection now, as far as is known.
    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Closes the connection once what is in its buffer is sent. A lost one is not found again.
    pub(crate) async fn close(&self) {
        self.give_up();
        if !self.is_up() {
            return;
        }
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "the connection was closed before it was flushed");
        }
        match tokio::time::timeout(FLUSH, self.client.drain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection was closed already"),
            Err(_) => tracing::debug!("the connection was lost before it could be closed"),
        }
    }

    /// Fires when nobody needs the connection any more.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Does not look for a server again once this connection is lost. The client would do so for
    /// ever, and then send what was meant for another time.
    pub(crate) fn give_up(&self) {
        self.closed.cancel();
    }
}

/// Keeps the connection open: when the last one is dropped, a lost connection is not dialed again.
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
        self.0.give_up();
    }
}

/// Sees what happens to a client's connection.
#[derive(Clone)]
pub(crate) struct ConnectionMonitor {
    attempts: Arc<Mutex<Attempts>>,
    was_lost: Arc<AtomicBool>,
    reconnections: watch::Sender<u64>,
    closed: CancellationToken,
}

/// Attempts to connect.
#[derive(Default)]
struct Attempts {
    before: u32,
    last: Option<Instant>,
}

impl ConnectionMonitor {
    pub(crate) fn new() -> Self {
        Self {
            attempts: Arc::default(),
            was_lost: Arc::default(),
            reconnections: watch::channel(0).0,
            closed: CancellationToken::new(),
        }
    }

    /// Ends when the client may dial; never once nobody needs the connection any more.
    ///
    /// Attempts are counted here, because the client counts none that fails for the server's name, and
    /// forgets all when a server takes a connection only to drop it.
    pub(crate) async fn reconnect_gate(self) {
        let attempts = self.attempts_before();
        let pause = match attempts {
            0 => Duration::ZERO,
            _ => {
                let doublings = attempts.min(16);
                let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
                // Those that were lost together do not all come back in the same instant.
                pause.mul_f64(rand::rng().random_range(0.5..1.0))
            }
        };
        tokio::select! {
            biased;
            () = self.closed.cancelled() => std::future::pending().await,
            // The timer takes a millisecond for nothing.
            () = std::future::ready(()), if pause.is_zero() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// How many attempts came before this one, each soon after the other.
    fn attempts_before(&self) -> u32 {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_soon = attempts.last.is_some_and(|last| now - last < SOON);
        attempts.before = if is_soon {
            attempts.before.saturating_add(1)
        } else {
            0
        };
        attempts.last = Some(now);
        attempts.before
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
            // The last words of a connection that was closed, or of a server that ends with its mesh.
            Event::Disconnected if self.closed.is_cancelled() => {
                tracing::debug!("disconnected");
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Keeps what is written to it.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at the default level while `act` runs.
    fn logged(act: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    /// The client does not count those that fail for the server's name.
    #[tokio::test(start_paused = true)]
    async fn no_attempts_follow_each_other_without_a_pause() {
        let observer = ConnectionMonitor::new();
        let before = Instant::now();
        observer.clone().reconnect_gate().await;
        assert_eq!(before.elapsed(), Duration::ZERO, "the first one");
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let before = Instant::now();
            observer.clone().reconnect_gate().await;
            pauses.push(before.elapsed());
        }
        assert!(
            pauses.iter().all(|pause| *pause >= FIRST_PAUSE),
            "{pauses:?}"
        );
        assert!(
            pauses.iter().all(|pause| *pause <= LONGEST_PAUSE),
            "{pauses:?}"
        );
        tokio::time::sleep(SOON).await;
        let before = Instant::now();
        observer.reconnect_gate().await;
        assert_eq!(before.elapsed(), Duration::ZERO, "a first one again");
    }

    #[test]
    fn the_loss_of_a_connection_is_told_until_it_is_given_up() {
        let observer = ConnectionMonitor::new();
        let told = logged(|| observer.observe(&Event::Disconnected));
        assert!(told.contains("is lost; connecting again"), "{told}");

        observer.closed.cancel();
        assert_eq!(logged(|| observer.observe(&Event::Disconnected)), "");
    }
}
