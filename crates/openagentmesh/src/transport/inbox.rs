//! Replies to the requests of this process.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::envelope::Probe;
use openagentmesh_protocol::{CallerSignal, HeaderSource, header, subject};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::client_slot::ClientSlot;
use super::denial::{Action, Denial};
use super::denials::{Denials, ListenerGuard};
use super::headers::{Outgoing, Received, closed, interrupted};
use super::host_watch::{Death, HostWatch, WatchGuard, is_for};
use super::multiplexer::{Entry, Multiplexer, Numbered, NumberedMessages, Table};
use super::publisher::{Publisher, Publishing};
use crate::error::{Error, Result};

/// Reply subjects of a process, all on one subscription.
pub(crate) struct Inbox {
    slot: ClientSlot,
    publisher: Arc<Publisher>,
    replies: Multiplexer<Waiting>,
    /// The hosts of the requests that were probed.
    hosts: Arc<HostWatch>,
    denials: Arc<Denials>,
    /// Fails the pending replies that a denial concerns.
    _listener: ListenerGuard,
}

/// A request that waits for its reply.
struct Waiting {
    reply: oneshot::Sender<Result<Message, Failure>>,
    /// The epoch of the client at the start of the request.
    epoch: u64,
    /// The subject of the request.
    request: Subject,
    /// The subject of a stream's chunks.
    chunks: Option<Subject>,
    /// The subject that cancels the request at its host. The host gives it with a probe or a chunk.
    cancel: Option<Subject>,
    /// The host, from its first probe on. Boxed: most requests are answered before.
    host: Option<Box<WatchGuard>>,
}

/// The reason why no reply can arrive.
enum Failure {
    Denied(Arc<Denial>),
    /// The client has died.
    Interrupted,
    /// The host has died.
    Died(Box<Error>),
}

impl Inbox {
    /// The reply subjects begin with `prefix`, which is this inbox's own. `ended` fails all pending replies.
    pub(crate) fn new(
        slot: &ClientSlot,
        prefix: String,
        publisher: &Arc<Publisher>,
        hosts: &Arc<HostWatch>,
        denials: &Arc<Denials>,
        ended: CancellationToken,
    ) -> Self {
        let replies = Multiplexer::new(slot, prefix, ended);
        let table = Arc::clone(replies.table());
        let pattern = table.pattern();
        Self {
            slot: slot.clone(),
            publisher: Arc::clone(publisher),
            replies,
            hosts: Arc::clone(hosts),
            denials: Arc::clone(denials),
            _listener: denials.listen(move |denial| fail_denied(&table, &pattern, denial)),
        }
    }

    /// Takes the number of a request that is [expected](Self::expect_callback) later.
    pub(crate) fn take_number(&self) -> u64 {
        self.replies.take_number()
    }

    /// The last segment of the reply subject of request `number`.
    pub(crate) fn token(&self, number: u64) -> String {
        self.replies.table().token(number)
    }

    /// Adds a reply subject for a request to subject `request`, which may have `chunks` on another subject.
    /// Subscribes first if this is the first one.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed, `connection_denied` when the server has denied the
    /// subscription.
    pub(crate) fn expect(
        &self,
        request: Subject,
        chunks: Option<Subject>,
    ) -> impl Future<Output = Result<PendingReply>> {
        self.add(self.take_number(), request, chunks)
    }

    /// As [`expect`](Self::expect), for request `number`, whose host is watched before its first probe: its caller may
    /// wait for long.
    ///
    /// # Errors
    ///
    /// Those of [`expect`](Self::expect).
    pub(crate) async fn expect_callback(
        &self,
        number: u64,
        request: Subject,
    ) -> Result<PendingReply> {
        let pending = self.add(number, request.clone(), None).await?;
        let guard = watch_host(&self.hosts, self.replies.table(), number, request);
        // The guard of an entry that was removed in the meantime is dropped.
        drop(pending.entry.with(|waiting| waiting.host.replace(guard)));
        Ok(pending)
    }

    async fn add(
        &self,
        number: u64,
        request: Subject,
        chunks: Option<Subject>,
    ) -> Result<PendingReply> {
        if !self.replies.is_started() {
            let reader = Reader {
                table: Arc::clone(self.replies.table()),
                publisher: Arc::clone(&self.publisher),
                hosts: Arc::clone(&self.hosts),
            };
            let read = move |replies| reader.clone().read(replies);
            self.replies.start(read).await?;
        }
        let (reply, receiver) = oneshot::channel();
        let waiting = Waiting {
            reply,
            epoch: self.slot.epoch(),
            request,
            chunks,
            cancel: None,
            host: None,
        };
        let entry = self.replies.add_numbered(number, waiting)?;
        self.hosts.request_made();
        // Checked after the entry was added: a later denial fails the entry.
        let denial = self.denials.inbox();
        if let Some(denial) =
            denial.or_else(|| self.denials.of_shared(|| self.replies.table().pattern()))
        {
            return Err(denial.to_error());
        }
        Ok(PendingReply {
            publisher: Arc::clone(&self.publisher),
            entry,
            receiver,
        })
    }

    /// The number of pending replies.
    pub(crate) fn pending(&self) -> usize {
        self.replies.table().len()
    }

    /// The hosts of the requests that were probed, and of those that wait for a callback.
    pub(crate) fn hosts(&self) -> &Arc<HostWatch> {
        &self.hosts
    }

    /// A mark between the requests that were made before and those made later.
    pub(crate) fn mark(&self) -> u64 {
        self.replies.next_number()
    }

    /// Whether a request that was made before `mark` is pending.
    pub(crate) fn has_before(&self, mark: u64) -> bool {
        self.replies.table().has_before(mark)
    }

    /// Whether a request to subject `request` that was made before `mark` is pending and has had no probe.
    pub(crate) fn has_unprobed(&self, request: &str, mark: u64) -> bool {
        let replies = self.replies.table();
        replies.any(|number, waiting| number < mark && waiting.is_unprobed(request))
    }

    /// Whether a request that was made before `mark` is pending and has had no probe.
    pub(crate) fn has_any_unprobed(&self, mark: u64) -> bool {
        let replies = self.replies.table();
        replies.any(|number, waiting| number < mark && waiting.host.is_none())
    }

    /// The subjects of the pending requests that have had no probe.
    pub(crate) fn unprobed_requests(&self) -> Vec<Subject> {
        let mut subjects = Vec::new();
        self.replies.table().for_each(|waiting| {
            if waiting.host.is_none() {
                subjects.push(waiting.request.clone());
            }
        });
        subjects
    }

    /// Fails the pending requests to subject `request` that were made before `mark` and have had no probe. Returns their
    /// number.
    pub(crate) fn fail_unprobed(&self, request: &str, mark: u64, death: &Death) -> usize {
        let replies = self.replies.table();
        let failed =
            replies.remove_all(|number, waiting| number < mark && waiting.is_unprobed(request));
        let count = failed.len();
        for waiting in failed {
            waiting.die(death);
        }
        count
    }

    /// Waits until every reply and probe that the server sent before was passed on. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of [`expect`](Self::expect), and `connection_denied` when the server denies the message.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        let own = Subject::from("");
        let mut pending = self.expect(own, None).await?;
        let sent = self.publish(pending.subject(), None, HeaderMap::new(), Bytes::new());
        sent.await?;
        pending.reply().await.map(drop)
    }

    /// Publishes a message and returns whether its subject had a subscriber. If it had none, the server
    /// answers "no responders"; otherwise a second message, to the own reply subject, arrives first. `None` means
    /// that neither has arrived within `timeout` after the message was published.
    ///
    /// # Errors
    ///
    /// `payload_too_large` before anything is sent, `connection_denied` when the server denies the message,
    /// `connection_failed` when the connection is closed. Cancel-safe.
    pub(crate) async fn deliver(
        &self,
        subject: Subject,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Option<bool>> {
        let mut pending = self.expect(subject.clone(), None).await?;
        let own: Subject = pending.subject().into();
        let sent = self.publish(subject, Some(own.clone()), headers, body);
        sent.await?;
        let echo = self.publish(own, None, HeaderMap::new(), Bytes::new());
        echo.await?;
        match tokio::time::timeout(timeout, pending.reply()).await {
            Ok(first) => Ok(Some(first?.status != Some(StatusCode::NO_RESPONDERS))),
            Err(_) => Ok(None),
        }
    }

    fn publish(
        &self,
        subject: impl Into<Subject>,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Publishing<'_> {
        let others = self.pending().saturating_sub(1);
        self.publisher
            .publish_coalesced(others, subject, reply, headers, body)
    }
}

impl Waiting {
    fn is_unprobed(&self, request: &str) -> bool {
        self.host.is_none() && is_for(&self.request, request)
    }

    fn die(self, death: &Death) {
        let error = Box::new(death.to_error(&self.request));
        // The caller may have dropped its request at this moment.
        drop(self.reply.send(Err(Failure::Died(error))));
    }
}

/// The task that reads the replies.
#[derive(Clone)]
struct Reader {
    table: Arc<Table<Waiting>>,
    publisher: Arc<Publisher>,
    hosts: Arc<HostWatch>,
}

impl Reader {
    /// Passes each reply to its pending request; a late one is dropped. Ends with the connection.
    async fn read(self, mut replies: NumberedMessages) {
        while let Some(event) = replies.next().await {
            let (number, message) = match event {
                Numbered::Message(number, message) => (number, message),
                Numbered::Interrupted(epoch) => {
                    fail_interrupted(&self.table, epoch);
                    continue;
                }
            };
            let probe = Probe::read(&Received(message.headers.as_ref()));
            if let Some(probe) = probe.filter(|_| message.reply.is_some()) {
                self.answer_probe(number, probe, message).await;
            } else if let Some(waiting) = self.table.remove(number) {
                // The caller may have dropped its request at this moment.
                drop(waiting.reply.send(Ok(message)));
            }
        }
    }

    /// Answers a host that asks whether a request is still pending.
    async fn answer_probe(&self, number: u64, probe: Probe, message: Message) {
        let cancel = message.reply.filter(|reply| subject::may_reply_to(reply));
        let headers = Received(message.headers.as_ref());
        let pending = self.table.with(number, |waiting| {
            waiting.cancel.clone_from(&cancel);
            let host = waiting.host.get_or_insert_with(|| {
                watch_host(&self.hosts, &self.table, number, waiting.request.clone())
            });
            host.probed(headers.get(header::INSTANCE_ID));
        });
        let answer = match (pending, probe) {
            (None, _) => CallerSignal::Cancel,
            (Some(()), Probe::Question) => CallerSignal::Waiting,
            (Some(()), _) => return,
        };
        answer_probe(&self.publisher, cancel, answer).boxed().await;
    }
}

/// Watches the host of pending request `number` to subject `request`.
fn watch_host(
    hosts: &Arc<HostWatch>,
    table: &Arc<Table<Waiting>>,
    number: u64,
    request: Subject,
) -> Box<WatchGuard> {
    let table = Arc::clone(table);
    Box::new(hosts.add(request, move |death| {
        if let Some(waiting) = table.remove(number) {
            waiting.die(&death);
        }
    }))
}

/// Fails the requests that were made by the client of `epoch`, which has died: their replies may be lost. Later ones
/// wait for the next client.
fn fail_interrupted(table: &Table<Waiting>, epoch: u64) {
    for waiting in table.remove_all(|_, waiting| waiting.epoch <= epoch) {
        // The caller may have dropped its request at this moment.
        drop(waiting.reply.send(Err(Failure::Interrupted)));
    }
}

/// Fails the requests that `denial` concerns, of an inbox that subscribes to `pattern`. Returns whether there are any.
fn fail_denied(table: &Table<Waiting>, pattern: &str, denial: &Arc<Denial>) -> bool {
    let is_own = denial.is_of_credentials()
        || denial.is_inbox()
        || denial.denies(Action::Subscribe, pattern);
    let is_concerned = |_, waiting: &Waiting| {
        is_own
            || denial.denies(Action::Publish, &waiting.request)
            || [&waiting.chunks, &waiting.cancel]
                .into_iter()
                .flatten()
                .any(|subject| {
                    denial.denies(Action::Subscribe, subject)
                        || denial.denies(Action::Publish, subject)
                })
    };
    let failed = table.remove_all(is_concerned);
    let is_any = !failed.is_empty();
    for waiting in failed {
        drop(waiting.reply.send(Err(Failure::Denied(Arc::clone(denial)))));
    }
    is_any
}

/// Answers a probe with `signal`, on the subject that the host has named. The host is not trusted: other subjects than
/// those of replies are ignored.
pub(crate) async fn answer_probe(
    publisher: &Arc<Publisher>,
    subject: Option<Subject>,
    signal: CallerSignal,
) {
    // Without a connection, the message would block the replies that have arrived. The host probes again.
    if let Some(subject) = subject.filter(|subject| subject::may_reply_to(subject))
        && publisher.is_open()
    {
        send_signal(Arc::clone(publisher), subject, signal).await;
    }
}

async fn send_signal(publisher: Arc<Publisher>, subject: Subject, signal: CallerSignal) {
    let mut headers = Outgoing::default();
    signal.write(&mut headers);
    let sent = publisher.publish(subject, None, headers.0, Bytes::new());
    if let Err(error) = sent.await {
        tracing::debug!(%error, ?signal, "the host of a request does not receive a signal");
    }
}

/// A reply subject. If it is dropped before the reply has arrived, the host is asked to cancel the request.
pub(crate) struct PendingReply {
    publisher: Arc<Publisher>,
    entry: Entry<Waiting>,
    receiver: oneshot::Receiver<Result<Message, Failure>>,
}

impl PendingReply {
    pub(crate) fn subject(&self) -> String {
        self.entry.subject()
    }

    /// Waits for the first reply. If the subject of the request has no subscriber, that is the server's "no
    /// responders". Cancel-safe. Must not be called again after it has returned.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed or its client has died, `connection_denied` when the server
    /// denies the request, or the subscription to its replies, `agent_died` when its host is dead.
    pub(crate) async fn reply(&mut self) -> Result<Message> {
        let reply = (&mut self.receiver).await;
        // The sender is gone, and with it the entry.
        self.entry.set_removed();
        match reply {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(Failure::Denied(denial))) => Err(denial.to_error()),
            Ok(Err(Failure::Interrupted)) => Err(interrupted("no reply had arrived")),
            Ok(Err(Failure::Died(error))) => Err(*error),
            Err(_) => Err(closed("no reply had arrived")),
        }
    }

    /// Sets the subject that cancels the request at its host.
    pub(crate) fn set_cancel_subject(&self, subject: &Subject) {
        self.entry
            .with(|waiting| waiting.cancel = Some(subject.clone()));
    }

    /// The request is complete: dropping this cancels nothing.
    pub(crate) fn finish(&mut self) {
        self.entry.remove();
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        // Without a runtime, the connection is closed, too, which cancels the request as well.
        if let Some(waiting) = self.entry.remove()
            && let Some(subject) = waiting.cancel
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let publisher = Arc::clone(&self.publisher);
            runtime.spawn(send_signal(publisher, subject, CallerSignal::Cancel));
        }
    }
}
