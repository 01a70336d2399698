//! The connection of a process, and its close.

mod round_trips;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, Subject, Subscriber, jetstream};
use openagentmesh_protocol::{ErrorCode, RequestId, UserToken, Verb, subject};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::client_slot::ClientSlot;
use super::denials::Denials;
use super::headers::{closed, interrupted};
use super::inbox::Inbox;
use super::monitor::{ConnectionMonitor, LostConnection};
use super::nats_events::NatsEvents;
use super::publisher::Publisher;
use super::replication::{Clustered, Replication};
use super::send_gate::SendGate;
use super::streams::Streams;
use super::subscription::Subscription;
use super::traffic::{OutgoingBytes, ReceiveProgress};
use crate::error::{Error, Result};
use crate::util::sync::Mutex;

/// The limit of a flush, and of a round trip to the server.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The NATS client of a process, and the parts of the SDK that belong to its connection.
#[derive(Clone)]
pub(crate) struct Connection {
    slot: ClientSlot,
    gate: SendGate,
    /// Sends every message of the SDK.
    pub(crate) publisher: Arc<Publisher>,
    /// Receives the replies to requests that their callers wait for.
    pub(crate) inbox: Arc<Inbox>,
    /// Receives the replies to sent requests, for callbacks.
    pub(crate) results: Arc<Inbox>,
    /// The ids of sent requests are this one and a token.
    results_prefix: RequestId,
    /// Receives the chunks of streams.
    pub(crate) streams: Arc<Streams>,
    /// The server's denials.
    pub(crate) denials: Arc<Denials>,
    monitor: ConnectionMonitor,
    /// The size of the content that is sent and not confirmed, in bytes.
    outgoing: Arc<AtomicUsize>,
    /// Counts reconnections; the monitor writes it. A reader that caches server state checks it again when
    /// the count changes, because the server may have lost that state.
    reconnections: watch::Receiver<u64>,
    /// Cancelled when the connection is closed: a lost one is not dialed again.
    closed: CancellationToken,
    /// Cancelled after that, when the last messages are sent.
    ended: CancellationToken,
    /// Whether the client is the program's, which then drains it itself.
    is_shared: bool,
    /// Whether the connection was made without a mesh.
    is_detached: bool,
    pub(super) replication: Arc<Replication>,
    pub(super) clustered: Arc<Mutex<Option<Clustered>>>,
}

impl Connection {
    /// `monitor` observes the client of `slot`, which is one of `user`.
    pub(super) fn new(
        slot: ClientSlot,
        monitor: &ConnectionMonitor,
        user: Option<&UserToken>,
    ) -> Self {
        let publisher = Arc::new(Publisher::new(&slot, monitor));
        let (hosts, denials, ended) = (Arc::default(), monitor.denials(), monitor.ended());
        let inbox = |prefix| {
            Arc::new(Inbox::new(
                &slot,
                prefix,
                &publisher,
                &hosts,
                &denials,
                ended.clone(),
            ))
        };
        let results_prefix = RequestId::random_of(user);
        Self {
            inbox: inbox(slot.client().new_inbox()),
            results: inbox(subject::results(&results_prefix)),
            results_prefix,
            streams: Arc::new(Streams::new(
                &slot,
                &publisher,
                &denials,
                user,
                ended.clone(),
            )),
            publisher,
            denials,
            monitor: monitor.clone(),
            outgoing: Arc::default(),
            gate: SendGate::new(&slot, monitor),
            slot,
            reconnections: monitor.reconnections(),
            closed: monitor.closed(),
            ended,
            is_shared: false,
            replication: Arc::default(),
            clustered: Arc::default(),
            is_detached: false,
        }
    }

    /// A connection of a client that the program has made as `user`, and uses for itself.
    pub(crate) fn shared(
        client: Client,
        events: Option<&NatsEvents>,
        user: Option<&UserToken>,
    ) -> Self {
        let inbox = client.new_inbox();
        let prefix = inbox.rsplit_once('.').map_or("", |(prefix, _)| prefix);
        let monitor = ConnectionMonitor::new(prefix);
        if let Some(events) = events {
            events.attach(&monitor);
        }
        tokio::spawn(monitor.clone().poll(client.clone()));
        Self {
            is_shared: true,
            ..Self::new(ClientSlot::fixed(client), &monitor, user)
        }
    }

    /// The same connection, marked as one without a mesh.
    pub(super) fn without_mesh(self) -> Self {
        Self {
            is_detached: true,
            ..self
        }
    }

    /// The id of a new request with `verb`, and the number by which its replies are found, if they arrive on a subscription
    /// for all requests with that verb.
    pub(crate) fn take_id(&self, verb: Verb) -> (RequestId, u64) {
        match verb {
            Verb::Stream => self.streams.take_id(),
            Verb::Send => {
                let number = self.results.take_number();
                let token = self.results.token(number);
                (RequestId::below(&self.results_prefix, &token), number)
            }
            _ => (RequestId::random(), 0),
        }
    }

    /// Checks that there is a mesh. An operation without one fails at once, and the error has the reason.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is detached.
    pub(crate) fn check_attached(&self) -> Result<()> {
        if self.is_detached {
            return Err(Error::raised(
                ErrorCode::ConnectionFailed,
                "no connection: a detached context has no mesh; test with AgentMesh::local() instead",
            ));
        }
        Ok(())
    }

    /// The place of the NATS client, for subscriptions that are made later.
    pub(crate) fn slot(&self) -> &ClientSlot {
        &self.slot
    }

    /// The current NATS client. It must not be kept: another one takes its place when it dies.
    pub(crate) fn client(&self) -> Client {
        self.slot.client()
    }

    /// JetStream by the current NATS client, as of [`client`](Self::client).
    pub(crate) fn jetstream(&self) -> jetstream::Context {
        self.slot.jetstream()
    }

    /// The maximum size of a message, in bytes.
    pub(crate) fn max_payload(&self) -> usize {
        self.slot.max_payload()
    }

    /// Subscribes until the subscription is dropped, in queue group `queue_group` if one is given.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn subscribe(
        &self,
        subject: impl Into<Subject>,
        queue_group: Option<String>,
    ) -> Result<Subscription> {
        Subscription::start(&self.slot, subject, queue_group).await
    }

    /// Subscribes for one request, which ends with the client by which it was made.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn subscribe_once(&self, subject: impl Into<Subject>) -> Result<Subscriber> {
        self.slot.subscribe_once(subject).await
    }

    /// The error of a request whose subscription has ended: the connection is closed, or its client has died.
    pub(crate) fn ended_error(&self, reason: &str) -> Error {
        if self.closed.is_cancelled() {
            closed(reason)
        } else {
            interrupted(reason)
        }
    }

    /// The number of times that the connection was lost and dialed again.
    pub(crate) fn reconnections(&self) -> u64 {
        *self.reconnections.borrow()
    }

    /// The count of [`reconnections`](Self::reconnections) and the epoch of the client: a handle of the client is valid
    /// while neither changes.
    pub(crate) fn incarnation(&self) -> (u64, u64) {
        (self.reconnections(), self.slot.epoch())
    }

    /// Waits while the connection is lost, or a dead client is replaced: the client would send later what it is given
    /// now. Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed instead, or detached.
    pub(crate) async fn up(&self) -> Result<()> {
        self.check_attached()?;
        self.gate.opened().await
    }

    pub(crate) fn watch_reconnections(&self) -> watch::Receiver<u64> {
        self.reconnections.clone()
    }

    /// The end of an error text: "; the connection to the mesh has been lost for 2 s", or nothing.
    pub(crate) fn lost(&self) -> LostConnection {
        self.monitor.lost()
    }

    /// See [`ConnectionMonitor::with_loss`].
    pub(crate) fn with_loss(&self, error: Error) -> Error {
        self.monitor.with_loss(error)
    }

    /// Resolves while the connection is lost. Cancel-safe.
    pub(crate) async fn wait_lost(&self) {
        self.monitor.wait_lost().await;
    }

    /// See [`ConnectionMonitor::refused`].
    pub(crate) async fn refused(&self) -> Error {
        self.monitor.refused().await
    }

    /// The state of the connection, without the client.
    pub(crate) fn monitor(&self) -> ConnectionMonitor {
        self.monitor.clone()
    }

    /// The size of the content that is sent and not confirmed, in bytes. Later messages wait for it.
    pub(crate) fn outgoing_bytes(&self) -> usize {
        self.outgoing.load(Ordering::Relaxed)
    }

    /// Counts content of `bytes` bytes as sent and not confirmed, until the guard is dropped.
    pub(crate) fn count_outgoing(&self, bytes: usize) -> OutgoingBytes {
        OutgoingBytes::count(&self.outgoing, bytes)
    }

    /// Measures whether bytes arrive, from now on.
    pub(crate) fn receive_progress(&self) -> ReceiveProgress {
        ReceiveProgress::start(self.slot.with_client(Client::statistics))
    }

    /// Whether the client has a connection now.
    pub(crate) fn is_up(&self) -> bool {
        self.gate.is_open()
    }

    /// Closes the connection after everything that is buffered was sent. A lost connection is not dialed
    /// again.
    pub(crate) async fn close(&self) {
        self.stop_reconnecting();
        if self.is_up() {
            self.drain().await;
        }
        self.ended.cancel();
    }

    async fn drain(&self) {
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "connection closed before it was flushed");
        }
        if self.is_shared {
            return;
        }
        let client = self.client();
        match tokio::time::timeout(FLUSH_TIMEOUT, client.drain()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "connection was closed already"),
            Err(_) => tracing::debug!("connection lost before it was closed"),
        }
    }

    /// Cancelled when the connection is closed.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Cancelled when the connection has ended. The client's subscriptions may outlive it: a lost client that is not
    /// dialed again keeps them, and so does a client that the program uses for itself.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Does not dial again after this connection is lost: otherwise the client would dial without end, and
    /// then send messages whose callers have given up.
    pub(super) fn stop_reconnecting(&self) {
        self.closed.cancel();
    }
}
