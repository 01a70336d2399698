//! The losses of a connection, and the delays before it is dialed again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ClientError, ConnectErrorKind, Event, ServerError};
use openagentmesh_protocol::Visible;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::client_slot::is_dead;
use super::denial::Denial;
use super::denials::Denials;
use super::state::{ConnectionState, ConnectionStates, Loss, state};
use crate::error::Error;
use crate::util::backoff::Backoff;
use crate::util::sync::Mutex;

/// The back-off of attempts to dial a lost server. The first attempt is not delayed.
const FIRST_DELAY: Duration = Duration::from_millis(2);
const MAX_DELAY: Duration = Duration::from_secs(4);
/// An attempt that comes later than this after the previous one starts a new back-off.
const RESET_AFTER: Duration = Duration::from_secs(30);
/// A connection that held for so long starts a new back-off, too. A server that accepts connections only to drop them
/// is dialed less and less often.
const MIN_HELD: Duration = Duration::from_millis(200);

/// The interval at which a client without events of its own is observed.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Observes the connection of a client and delays its attempts to reconnect.
#[derive(Clone)]
pub(crate) struct ConnectionMonitor {
    attempts: Arc<Mutex<Attempts>>,
    /// The loss of the connection; `None` while the client is connected.
    loss: watch::Sender<Option<Loss>>,
    /// Whether the server has announced its shutdown on this connection.
    lame_duck: watch::Sender<bool>,
    /// Counts the losses.
    losses: watch::Sender<u64>,
    denials: Arc<Denials>,
    reconnections: watch::Sender<u64>,
    /// The number of messages that a full subscription has dropped.
    dropped_messages: Arc<AtomicU64>,
    closed: CancellationToken,
    ended: CancellationToken,
}

/// Attempts to dial.
struct Attempts {
    backoff: Backoff,
    last: Option<Instant>,
    /// The time of the last connect, until the next attempt.
    connected: Option<Instant>,
}

impl ConnectionMonitor {
    /// `inbox_prefix` is the first part of the subjects on which the client receives replies.
    pub(crate) fn new(inbox_prefix: &str) -> Self {
        Self {
            attempts: Arc::new(Mutex::new(Attempts {
                backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
                last: None,
                connected: None,
            })),
            loss: watch::channel(None).0,
            lame_duck: watch::channel(false).0,
            losses: watch::channel(0).0,
            denials: Denials::new(inbox_prefix),
            reconnections: watch::channel(0).0,
            dropped_messages: Arc::default(),
            closed: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Counts the reconnections.
    pub(crate) fn reconnections(&self) -> watch::Receiver<u64> {
        self.reconnections.subscribe()
    }

    /// Counts the losses of the connection.
    pub(crate) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Losses and their ends, from now on.
    pub(super) fn loss_changes(&self) -> watch::Receiver<Option<Loss>> {
        self.loss.subscribe()
    }

    /// Waits until the connection is not lost; `None` when it is closed. Cancel-safe.
    pub(crate) async fn recovered(&self) -> Option<()> {
        let mut loss = self.loss.subscribe();
        let recovered = async {
            // The sender is in `self`.
            drop(loss.wait_for(Option::is_none).await);
        };
        self.closed.run_until_cancelled(recovered).await
    }

    /// The end of an error text: "; the connection to the mesh has been lost for 2 s", or nothing.
    pub(crate) fn lost(&self) -> LostConnection {
        let loss = *self.loss.borrow();
        LostConnection(loss.map(|loss| (loss.since.elapsed(), loss.is_refused())))
    }

    /// `error`, with the detail that the connection is lost if it is.
    pub(crate) fn with_loss(&self, error: Error) -> Error {
        match self.state() {
            ConnectionState::Lost | ConnectionState::Refused => {
                error.with_detail("connection", "lost")
            }
            _ => error,
        }
    }

    /// Resolves while the connection is lost. Cancel-safe.
    pub(crate) async fn wait_lost(&self) {
        let mut loss = self.loss.subscribe();
        // The sender lives as long as this monitor.
        drop(loss.wait_for(Option::is_some).await);
    }

    /// Resolves with an error while the server refuses the credentials. Cancel-safe.
    pub(crate) async fn refused(&self) -> Error {
        let mut loss = self.loss.subscribe();
        let is_refused = |loss: &Option<Loss>| loss.is_some_and(|loss| loss.is_refused());
        // The sender lives as long as this monitor.
        drop(loss.wait_for(is_refused).await);
        Denial::of_credentials().to_error()
    }

    /// The state of the connection.
    pub(crate) fn state(&self) -> ConnectionState {
        if self.closed.is_cancelled() {
            return ConnectionState::Closed;
        }
        state(self.loss.borrow().as_ref(), *self.lame_duck.borrow())
    }

    /// The state of the connection, and its changes.
    pub(crate) fn states(&self) -> ConnectionStates {
        ConnectionStates::new(
            self.loss.subscribe(),
            self.lame_duck.subscribe(),
            self.closed(),
        )
    }

    /// The time since the loss of the connection; `None` while it is connected.
    pub(crate) fn lost_for(&self) -> Option<Duration> {
        self.loss.borrow().map(|loss| loss.since.elapsed())
    }

    /// Whether the server has announced its shutdown on this connection, and the changes.
    pub(super) fn lame_duck(&self) -> watch::Receiver<bool> {
        self.lame_duck.subscribe()
    }

    /// The server's denials.
    pub(crate) fn denials(&self) -> Arc<Denials> {
        Arc::clone(&self.denials)
    }

    /// To be cancelled when the connection is closed.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// To be cancelled when the connection has ended: after [`closed`](Self::closed), when the last messages are sent.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Observes a client whose events are reported elsewhere, until the connection is closed, or the client has ended.
    /// Either is noticed after `POLL_INTERVAL` at the latest.
    pub(crate) async fn poll(self, client: Client) {
        let statistics = client.statistics();
        let connects = || statistics.connects.load(Ordering::Relaxed);
        let mut seen = connects();
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self
            .closed
            .run_until_cancelled(interval.tick())
            .await
            .is_some()
        {
            if is_dead(&client) {
                return self.end();
            }
            let is_up = client.connection_state() == State::Connected;
            let now = connects();
            let was_lost = self.loss.borrow().is_some();
            if !was_lost && (!is_up || now != seen) {
                self.observe(&Event::Disconnected);
            }
            if is_up && (was_lost || now != seen) {
                seen = now;
                self.observe(&Event::Connected);
            }
        }
    }

    /// Resolves when the client may dial; never after the connection was closed.
    ///
    /// The delays are not left to the client: it does not count attempts that fail while it resolves the
    /// server's name, and starts its count again when a server accepts a connection only to drop it.
    pub(crate) async fn reconnect_gate(self) {
        let delay = self.next_delay();
        tokio::select! {
            biased;
            () = self.closed.cancelled() => std::future::pending().await,
            // A timer takes at least a millisecond.
            () = std::future::ready(()), if delay.is_zero() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }

    fn next_delay(&self) -> Duration {
        let mut attempts = self.attempts.lock();
        let now = Instant::now();
        let is_recent = |then: Instant, limit| now.saturating_duration_since(then) < limit;
        let connected = attempts.connected.take();
        let has_held = connected.is_some_and(|connected| !is_recent(connected, MIN_HELD));
        let last = attempts.last.replace(now);
        if !has_held && last.is_some_and(|last| is_recent(last, RESET_AFTER)) {
            attempts.backoff.next_delay()
        } else {
            attempts.backoff.reset();
            Duration::ZERO
        }
    }

    /// A client has connected. The connection stays lost until it is [`restored`](Self::restored).
    pub(super) fn connected(&self) {
        tracing::debug!("connected");
        self.attempts.lock().connected = Some(Instant::now());
        self.denials.connected();
    }

    /// The connection is not lost any longer.
    pub(super) fn restored(&self) {
        if self.loss.send_if_modified(|loss| loss.take().is_some()) {
            tracing::info!("reconnected to the mesh");
            self.reconnections.send_modify(|count| *count += 1);
        }
    }

    /// The connection has ended without the program's doing: its own NATS client has.
    fn end(&self) {
        tracing::error!(
            "the connection to the mesh is closed: the NATS client of this program has ended; connect again with \
             another client"
        );
        self.closed.cancel();
        self.ended.cancel();
    }

    pub(crate) fn observe(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.connected();
                self.restored();
            }
            // Expected when the connection is closed, or its local server stops.
            Event::Disconnected if self.closed.is_cancelled() => tracing::debug!("disconnected"),
            Event::Disconnected => {
                if self.loss.borrow().is_none() {
                    tracing::warn!("connection to the mesh lost; reconnecting");
                }
                self.lame_duck.send_replace(false);
                self.losses.send_modify(|count| *count += 1);
                self.loss.send_if_modified(|loss| {
                    let is_new = loss.is_none();
                    loss.get_or_insert_with(|| Loss {
                        since: Instant::now(),
                        refusals: 0,
                    });
                    is_new
                });
            }
            Event::ServerError(ServerError::Other(text)) if self.denials.observe(text) => {}
            Event::Draining | Event::Closed => tracing::debug!(%event, "connection"),
            Event::LameDuckMode => {
                // Announced several times.
                if !self.lame_duck.send_replace(true) {
                    tracing::info!("the server is about to shut down");
                }
            }
            Event::ClientError(ClientError::Other(error)) if is_refusal(error) => {
                if self.count_refusals(|refusals| refusals.saturating_add(1)) {
                    tracing::warn!("{}; reconnecting", Denial::REFUSAL);
                    self.denials.refuse();
                }
            }
            // Comes with every failed attempt, several times a second.
            Event::ClientError(error) => {
                self.count_refusals(|_| 0);
                tracing::debug!(error = %Visible(error), "connection");
            }
            // Comes with every message that is dropped: a peer may send any number of them.
            Event::SlowConsumer(_) => {
                let count = self.dropped_messages.fetch_add(1, Ordering::Relaxed) + 1;
                if count.is_power_of_two() {
                    tracing::warn!(count, "messages dropped: a subscription is full");
                }
            }
            _ => tracing::warn!(event = %Visible(event), "connection"),
        }
    }

    /// Changes the number of refusals of the lost connection. Returns whether that changes its state.
    fn count_refusals(&self, change: impl Fn(u32) -> u32) -> bool {
        self.loss.send_if_modified(|loss| {
            loss.as_mut().is_some_and(|loss| {
                let was_refused = loss.is_refused();
                loss.refusals = change(loss.refusals);
                loss.is_refused() != was_refused
            })
        })
    }
}

/// Whether `error`, with which the client reports a failed attempt, is the refusal of the credentials.
fn is_refusal(error: &str) -> bool {
    error == ConnectErrorKind::AuthorizationViolation.to_string()
}

/// The loss of the connection in the text of an error; empty while it is connected.
pub(crate) struct LostConnection(Option<(Duration, bool)>);

impl LostConnection {
    /// The text, or `otherwise` while the client is connected.
    pub(crate) fn or(self, otherwise: &'static str) -> String {
        match self.0 {
            Some(_) => self.to_string(),
            None => otherwise.to_owned(),
        }
    }
}

impl fmt::Display for LostConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((lost, is_refused)) = self.0 else {
            return Ok(());
        };
        f.write_str("; the connection to the mesh has been lost for ")?;
        if lost < Duration::from_secs(1) {
            write!(f, "{} ms", lost.as_millis())?;
        } else {
            write!(f, "{} s", lost.as_secs())?;
        }
        if is_refused {
            f.write_str(", and the server refuses the credentials")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The log at the default level while `act` runs.
    fn logged(act: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        String::from_utf8(log.0.lock().clone()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_after_the_first_are_delayed_until_a_quiet_period() {
        let monitor = ConnectionMonitor::new("_INBOX");
        let delay_of_attempt = async || {
            let before = Instant::now();
            monitor.clone().reconnect_gate().await;
            before.elapsed()
        };
        assert_eq!(delay_of_attempt().await, Duration::ZERO, "the first");
        for _ in 0..20 {
            let delay = delay_of_attempt().await;
            let limits = FIRST_DELAY / 2..=MAX_DELAY;
            assert!(limits.contains(&delay), "{delay:?}");
        }
        tokio::time::sleep(RESET_AFTER).await;
        assert_eq!(
            delay_of_attempt().await,
            Duration::ZERO,
            "a first one again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn attempt_after_a_connection_that_held_is_not_delayed() {
        let monitor = ConnectionMonitor::new("_INBOX");
        let delay_after = async |held| {
            monitor.observe(&Event::Connected);
            tokio::time::sleep(held).await;
            monitor.observe(&Event::Disconnected);
            let before = Instant::now();
            monitor.clone().reconnect_gate().await;
            before.elapsed()
        };
        monitor.clone().reconnect_gate().await;
        for _ in 0..20 {
            assert_eq!(delay_after(MIN_HELD).await, Duration::ZERO);
        }
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            longest = longest.max(delay_after(Duration::from_millis(1)).await);
        }
        assert!(longest > MAX_DELAY / 2, "{longest:?}");
    }

    /// A restart takes 300 ms, and the connection holds for some seconds after it.
    #[tokio::test(start_paused = true)]
    async fn fifth_restart_in_a_row_is_noticed_as_soon_as_the_first() {
        const RESTART: Duration = Duration::from_millis(300);
        let monitor = ConnectionMonitor::new("_INBOX");
        monitor.clone().reconnect_gate().await;
        for restart in 1..=5 {
            monitor.observe(&Event::Connected);
            tokio::time::sleep(Duration::from_secs(3)).await;
            monitor.observe(&Event::Disconnected);
            let lost = Instant::now();
            loop {
                monitor.clone().reconnect_gate().await;
                if lost.elapsed() >= RESTART {
                    break;
                }
            }
            assert!(
                lost.elapsed() < RESTART * 3,
                "restart {restart}: {:?}",
                lost.elapsed()
            );
        }
    }

    #[test]
    fn loss_of_a_connection_is_logged_until_it_is_closed() {
        let monitor = ConnectionMonitor::new("_INBOX");
        let lost = logged(|| monitor.observe(&Event::Disconnected));
        assert!(lost.contains("lost; reconnecting"), "{lost}");

        monitor.closed.cancel();
        assert_eq!(logged(|| monitor.observe(&Event::Disconnected)), "");
    }
}
