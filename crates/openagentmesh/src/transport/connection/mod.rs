//! The connection of a process, and its close.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Subject, Subscriber, jetstream};
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh_protocol::{ErrorCode, RequestId, UserToken, Verb, subject};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::client_slot::ClientSlot;
use super::denial::Action;
use super::denials::{DenialWatch, Denials};
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

/// The limit of a flush.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum wait for the report of a client's death after one of its requests has failed without an answer.
const DEATH_TIMEOUT: Duration = Duration::from_secs(1);

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

    /// Waits until the server has received everything that was published before.
    ///
    /// # Errors
    ///
    /// `connection_failed` without a connection for 2 s.
    pub(crate) async fn flush(&self) -> Result<()> {
        let flush = || async {
            self.publisher.flush().await;
            let flushed = self.client().flush().await;
            flushed.map_err(|error| closed(error.to_string()))
        };
        match tokio::time::timeout(FLUSH_TIMEOUT, self.repeat_after_loss(flush)).await {
            Ok(flushed) => flushed,
            Err(_) => Err(self.server_silent()),
        }
    }

    /// Waits until the server has processed everything that was sent before: a message to a subject of this
    /// process's own comes back after all of it, or the server denies that subject after all of it.
    ///
    /// # Errors
    ///
    /// `connection_failed` without a connection for 2 s.
    pub(crate) async fn synchronize(&self) -> Result<()> {
        let round_trip = self.repeat_after_loss(|| self.round_trip());
        match tokio::time::timeout(FLUSH_TIMEOUT, round_trip).await {
            Ok(returned) => returned,
            Err(_) => Err(self.server_silent()),
        }
    }

    /// Runs `attempt` until the connection is not lost while it runs. Fails with its error, and when the connection is
    /// closed.
    pub(crate) async fn repeat_after_loss<T, F>(&self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            let is_unanswered = |error: &Error| error.code() == &ErrorCode::ConnectionFailed;
            match self.until_lost(attempt(), is_unanswered).await {
                Some(done) => return done,
                None => self.recovered().await?,
            }
        }
    }

    /// Runs a request to the server, which is not repeated by the client when its answer is lost. `None` when the
    /// connection is lost before, or its client dies. `is_unanswered` says of an error whether it may be due to that.
    pub(crate) async fn until_lost<T, E>(
        &self,
        request: impl Future<Output = Result<T, E>>,
        is_unanswered: impl Fn(&E) -> bool,
    ) -> Option<Result<T, E>> {
        let epoch = self.slot.epoch();
        let mut losses = self.monitor.losses();
        let done = tokio::select! {
            biased;
            done = request => done,
            Ok(()) = losses.changed() => return None,
        };
        let Err(error) = &done else {
            return Some(done);
        };
        // The death is about to be reported, unless the client is not replaced. A client that dies fails its requests a moment
        // before it can be seen to be dead.
        let death = self.slot.death(epoch);
        let is_dead = if self.slot.has_died_since(epoch) {
            death.await.is_some()
        } else if is_unanswered(error) {
            matches!(
                tokio::time::timeout(DEATH_TIMEOUT, death).await,
                Ok(Some(()))
            )
        } else {
            false
        };
        (!is_dead).then_some(done)
    }

    /// Waits until the connection is not lost.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn recovered(&self) -> Result<()> {
        let recovered = self.monitor.recovered().await;
        recovered.ok_or_else(|| closed("it was lost before"))
    }

    async fn round_trip(&self) -> Result<()> {
        let subject = self.client().new_inbox();
        let own = subject.clone();
        let mut denied = self.denials.watch(move |denial| {
            denial.denies(Action::Publish, &own) || denial.denies(Action::Subscribe, &own)
        });
        let mut messages = self.subscribe_once(subject.clone()).await?;
        let sent = self
            .publisher
            .publish(subject, None, HeaderMap::new(), Bytes::new());
        sent.await?;
        tokio::select! {
            biased;
            _ = denied.denied() => Ok(()),
            message = messages.next() => match message {
                Some(_) => Ok(()),
                None => Err(closed("the subscription ended before the round trip")),
            },
        }
    }

    /// Waits until the server has decided on everything that was sent before, and its denials are known.
    ///
    /// # Errors
    ///
    /// Those of [`synchronize`](Self::synchronize).
    pub(crate) async fn settle(&self) -> Result<()> {
        // The client reports a denial from a task of its own. The second round trip gives that task time.
        self.synchronize().await?;
        self.synchronize().await
    }

    /// As [`settle`](Self::settle), and ends at once when `watch` has a denial.
    ///
    /// # Errors
    ///
    /// `connection_denied` when `watch` has a denial, and the errors of [`synchronize`](Self::synchronize).
    pub(crate) async fn await_verdict(&self, watch: &mut DenialWatch) -> Result<()> {
        tokio::select! {
            biased;
            denied = watch.denied() => return Err(denied),
            settled = self.settle() => settled?,
        }
        watch.check()
    }

    /// Runs `publishing`, which publishes to `subject` without an answer. The first time on this connection, waits
    /// until the server has permitted it, unless the connection is lost.
    ///
    /// # Errors
    ///
    /// `connection_denied`, and the errors of `publishing`.
    pub(crate) async fn confirm(
        &self,
        subject: &str,
        publishing: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        if self.denials.is_permitted(subject) {
            return publishing.await;
        }
        let own = subject.to_owned();
        let mut watch = self
            .denials
            .watch(move |denial| denial.denies(Action::Publish, &own));
        publishing.await?;
        if !self.is_up() {
            return watch.check();
        }
        match self.await_verdict(&mut watch).await {
            Ok(()) => self.denials.set_permitted(subject),
            Err(denied) if denied.code() == &ErrorCode::ConnectionDenied => return Err(denied),
            Err(error) => tracing::debug!(%error, subject, "a publish is not confirmed"),
        }
        Ok(())
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

    /// The state of the connection, without the client.
    pub(crate) fn monitor(&self) -> ConnectionMonitor {
        self.monitor.clone()
    }

    fn server_silent(&self) -> Error {
        closed(format!(
            "no answer of the server within {FLUSH_TIMEOUT:?}{}",
            self.lost()
        ))
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
