//! Waiting for replies: one subscription for all that a process asks for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use openagentmesh_protocol::envelope::is_probe;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::AbortHandle;

use crate::error::Result;
use crate::transport::{self, Outgoing, Received};
use crate::transport::{Publisher, Publishing};

/// The reply subjects of a process. Nothing stays behind of a call that was given up.
pub(crate) struct Inbox {
    shared: Arc<Shared>,
    next: AtomicU64,
    reader: OnceCell<AbortHandle>,
}

struct Shared {
    client: Client,
    publisher: Arc<Publisher>,
    prefix: String,
    waiting: Mutex<Table>,
}

/// Whoever waits.
#[derive(Default)]
struct Table {
    /// By the number that ends the reply subject.
    by_number: HashMap<u64, Waiting>,
    /// Whether the connection is closed, so that no reply will come any more.
    is_closed: bool,
}

struct Waiting {
    reply: oneshot::Sender<Message>,
    /// Where the host that works on it can be told that nobody waits any more.
    feedback: Option<Subject>,
}

impl Inbox {
    pub(crate) fn new(client: &Client, publisher: &Arc<Publisher>) -> Self {
        Self {
            shared: Arc::new(Shared {
                prefix: client.new_inbox(),
                client: client.clone(),
                publisher: Arc::clone(publisher),
                waiting: Mutex::default(),
            }),
            next: AtomicU64::new(0),
            reader: OnceCell::new(),
        }
    }

    /// A place among those who wait for a reply.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn expect(&self) -> Result<PendingReply> {
        if !self.reader.initialized() {
            let started = self.reader.get_or_try_init(|| self.start_reader());
            started.boxed().await?;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, receiver) = oneshot::channel();
        let waiting = Waiting {
            reply,
            feedback: None,
        };
        {
            let mut table = lock(&self.shared.waiting);
            if table.is_closed {
                return Err(transport::closed("no reply can come any more"));
            }
            table.by_number.insert(number, waiting);
        }
        Ok(PendingReply {
            shared: Arc::clone(&self.shared),
            number,
            receiver,
            over: false,
        })
    }

    /// How many replies are awaited.
    pub(crate) fn pending(&self) -> usize {
        lock(&self.shared.waiting).by_number.len()
    }

    /// Publishes a message, and waits for the first reply, which may be the server's that nobody is there.
    ///
    /// # Errors
    ///
    /// `payload_too_large` before anything is sent, `connection_failed` when the connection is closed.
    /// Cancel-safe.
    pub(crate) async fn request(
        &self,
        subject: String,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Message> {
        let mut expected = self.expect().await?;
        let reply = expected.subject().into();
        self.publish(subject, Some(reply), headers, body).await?;
        expected.reply().await
    }

    /// Publishes a message, and finds out whether somebody subscribes to its subject: where nobody does
    /// the server says so, and otherwise a message to oneself comes back behind it.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request). Cancel-safe.
    pub(crate) async fn deliver(
        &self,
        subject: Subject,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<bool> {
        let mut expected = self.expect().await?;
        let back: Subject = expected.subject().into();
        let sent = self.publish(subject, Some(back.clone()), headers, body);
        sent.await?;
        let behind = self.publish(back, None, HeaderMap::new(), Bytes::new());
        behind.await?;
        let first = expected.reply().await?;
        Ok(first.status != Some(StatusCode::NO_RESPONDERS))
    }

    /// Publishes a message together with those of others who wait for something.
    fn publish(
        &self,
        subject: impl Into<Subject>,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Publishing<'_> {
        let others = self.pending().saturating_sub(1);
        let publisher = &self.shared.publisher;
        publisher.publish_among(others, subject, reply, headers, body)
    }

    async fn start_reader(&self) -> Result<AbortHandle> {
        let replies = self
            .shared
            .client
            .subscribe(format!("{}.*", self.shared.prefix))
            .await
            .map_err(|error| transport::closed(error.to_string()))?;
        let reader = tokio::spawn(read(replies, Arc::clone(&self.shared)));
        Ok(reader.abort_handle())
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
    }
}

/// Gives each reply to whoever waits for it; a late one has nobody. Ends with the connection, and
/// then so does every wait.
async fn read(mut replies: Subscriber, shared: Arc<Shared>) {
    while let Some(reply) = replies.next().await {
        let number = reply
            .subject
            .rsplit('.')
            .next()
            .and_then(|number| number.parse().ok());
        let Some(number) = number else { continue };
        if reply.reply.is_some() && is_probe(&Received(reply.headers.as_ref())) {
            answer_probe(&shared, number, reply.reply).await;
            continue;
        }
        let waiting = lock(&shared.waiting).by_number.remove(&number);
        if let Some(waiting) = waiting {
            // The caller may have given up at this very moment.
            drop(waiting.reply.send(reply));
        }
    }
    let mut table = lock(&shared.waiting);
    table.by_number.clear();
    table.is_closed = true;
}

/// A host asks whether anybody still waits: silence says yes.
async fn answer_probe(shared: &Shared, number: u64, feedback: Option<Subject>) {
    if let Some(waiting) = lock(&shared.waiting).by_number.get_mut(&number) {
        waiting.feedback = feedback;
        return;
    }
    if let Some(feedback) = feedback {
        cancel(Arc::clone(&shared.publisher), feedback)
            .boxed()
            .await;
    }
}

/// Tells a host that nobody waits any more.
async fn cancel(publisher: Arc<Publisher>, feedback: Subject) {
    let mut headers = Outgoing::default();
    openagentmesh_protocol::CallerSignal::Cancel.write(&mut headers);
    let told = publisher.publish(feedback, None, headers.0, Bytes::new());
    if let Err(error) = told.await {
        tracing::debug!(%error, "a host was not told that its caller is gone");
    }
}

/// A place among those who wait. Dropped before the reply has come, it tells the host so.
pub(crate) struct PendingReply {
    shared: Arc<Shared>,
    number: u64,
    receiver: oneshot::Receiver<Message>,
    /// Whether the place is given up already.
    over: bool,
}

impl PendingReply {
    /// Where the reply is to go.
    pub(crate) fn subject(&self) -> String {
        // Every call makes one, and formatting takes several times as long.
        [&self.shared.prefix, ".", &self.number.to_string()].concat()
    }

    /// Waits for the first reply, which may be the server's that nobody is there. Cancel-safe; not
    /// to be awaited again once it has answered.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn reply(&mut self) -> Result<Message> {
        let reply = (&mut self.receiver).await;
        self.over = true;
        reply.map_err(|_| transport::closed("it was closed before the reply came"))
    }

    /// Where the host can be told that nobody waits any more, which it said with a chunk.
    pub(crate) fn set_feedback(&self, feedback: &Subject) {
        if let Some(waiting) = lock(&self.shared.waiting).by_number.get_mut(&self.number) {
            waiting.feedback = Some(feedback.clone());
        }
    }

    /// The answer is complete: there is nobody to be told anything.
    pub(crate) fn finish(&self) {
        lock(&self.shared.waiting).by_number.remove(&self.number);
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let unanswered = lock(&self.shared.waiting).by_number.remove(&self.number);
        // Without a runtime, the connection is gone too, which tells the host as well.
        if let Some(feedback) = unanswered.and_then(|waiting| waiting.feedback)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(cancel(Arc::clone(&self.shared.publisher), feedback));
        }
    }
}

/// Nothing that holds the lock can panic halfway through a change.
fn lock(waiting: &Mutex<Table>) -> MutexGuard<'_, Table> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
