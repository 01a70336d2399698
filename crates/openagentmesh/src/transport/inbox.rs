//! Replies to the requests of this process.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::envelope::is_probe;
use openagentmesh_protocol::{CallerSignal, subject};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::client_slot::ClientSlot;
use super::denials::{Action, Denial, Denials, ListenerGuard};
use super::headers::{Outgoing, Received, closed, interrupted};
use super::multiplexer::{Entry, Multiplexer, Numbered, NumberedMessages, Table};
use super::publisher::{Publisher, Publishing};
use crate::error::Result;

/// The reply subjects of a process, all on one subscription.
pub(crate) struct Inbox {
    slot: ClientSlot,
    publisher: Arc<Publisher>,
    replies: Multiplexer<Waiting>,
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
}

/// The reason why no reply can arrive.
enum Failure {
    Denied(Arc<Denial>),
    /// The client has died.
    Interrupted,
}

impl Inbox {
    /// `ended` fails all pending replies.
    pub(crate) fn new(
        slot: &ClientSlot,
        publisher: &Arc<Publisher>,
        denials: &Arc<Denials>,
        ended: CancellationToken,
    ) -> Self {
        let replies = Multiplexer::new(slot, ended);
        let table = Arc::clone(replies.table());
        Self {
            slot: slot.clone(),
            publisher: Arc::clone(publisher),
            replies,
            denials: Arc::clone(denials),
            _listener: denials.listen(move |denial| fail_denied(&table, denial)),
        }
    }

    /// Adds a reply subject for a request to subject `request`, which may have `chunks` on another subject.
    /// Subscribes first if this is the first one.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed, `connection_denied` when the server has denied the
    /// subscription.
    pub(crate) async fn expect(
        &self,
        request: Subject,
        chunks: Option<Subject>,
    ) -> Result<PendingReply> {
        let (table, publisher) = (self.replies.table(), &self.publisher);
        let started = self
            .replies
            .start(|replies| read(replies, Arc::clone(table), Arc::clone(publisher)));
        started.await?;
        let (reply, receiver) = oneshot::channel();
        let entry = self.replies.add(Waiting {
            reply,
            epoch: self.slot.epoch(),
            request,
            chunks,
            cancel: None,
        })?;
        // Checked after the entry was added: a later denial fails the entry.
        if let Some(denial) = self.denials.inbox() {
            return Err(denial.to_error());
        }
        Ok(PendingReply {
            publisher: Arc::clone(publisher),
            entry,
            receiver,
        })
    }

    /// The number of pending replies.
    pub(crate) fn pending(&self) -> usize {
        self.replies.table().len()
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

/// Passes each reply to its pending request; a late one is dropped. Ends with the connection.
async fn read(
    mut replies: NumberedMessages,
    table: Arc<Table<Waiting>>,
    publisher: Arc<Publisher>,
) {
    while let Some(event) = replies.next().await {
        let (number, message) = match event {
            Numbered::Message(number, message) => (number, message),
            Numbered::Interrupted(epoch) => {
                fail_interrupted(&table, epoch);
                continue;
            }
        };
        if message.reply.is_some() && is_probe(&Received(message.headers.as_ref())) {
            // The host names the subject, and is not trusted.
            let cancel = message.reply.filter(|reply| subject::may_reply_to(reply));
            answer_probe(&table, &publisher, number, cancel).await;
        } else if let Some(waiting) = table.remove(number) {
            // The caller may have dropped its request at this moment.
            drop(waiting.reply.send(Ok(message)));
        }
    }
}

/// Fails the requests that were made by the client of `epoch`, which has died: their replies may be lost. Later ones
/// wait for the next client.
fn fail_interrupted(table: &Table<Waiting>, epoch: u64) {
    for waiting in table.remove_all(|waiting| waiting.epoch <= epoch) {
        // The caller may have dropped its request at this moment.
        drop(waiting.reply.send(Err(Failure::Interrupted)));
    }
}

/// Fails the requests that `denial` concerns. Returns whether there are any.
fn fail_denied(table: &Table<Waiting>, denial: &Arc<Denial>) -> bool {
    let is_concerned = |waiting: &Waiting| {
        denial.is_inbox()
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

/// Answers a host that asks whether a request is still pending. If it is, the host expects no answer.
async fn answer_probe(
    table: &Table<Waiting>,
    publisher: &Arc<Publisher>,
    number: u64,
    cancel: Option<Subject>,
) {
    let is_pending = table.with(number, |waiting| waiting.cancel.clone_from(&cancel));
    // Without a connection, the message would block the replies that have arrived. The host probes again.
    if let (None, Some(subject)) = (is_pending, cancel)
        && publisher.is_open()
    {
        send_cancel(Arc::clone(publisher), subject).boxed().await;
    }
}

/// Cancels a request at its host.
async fn send_cancel(publisher: Arc<Publisher>, subject: Subject) {
    let mut headers = Outgoing::default();
    CallerSignal::Cancel.write(&mut headers);
    let sent = publisher.publish(subject, None, headers.0, Bytes::new());
    if let Err(error) = sent.await {
        tracing::debug!(%error, "cancel message not sent");
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
    /// denies the request, or the subscription to its replies.
    pub(crate) async fn reply(&mut self) -> Result<Message> {
        let reply = (&mut self.receiver).await;
        // The sender is gone, and with it the entry.
        self.entry.set_removed();
        match reply {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(Failure::Denied(denial))) => Err(denial.to_error()),
            Ok(Err(Failure::Interrupted)) => Err(interrupted("no reply had arrived")),
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
            runtime.spawn(send_cancel(Arc::clone(&self.publisher), subject));
        }
    }
}
