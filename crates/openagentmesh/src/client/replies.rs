//! Waiting for replies: one subscription for all calls of a process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::AbortHandle;

use crate::error::Result;
use crate::wire;

/// Whoever waits, by the number that ends the reply subject.
type Waiting = Mutex<HashMap<u64, oneshot::Sender<Message>>>;

/// The reply subjects of a process. Nothing stays behind of a call that was given up.
pub(crate) struct Replies {
    client: Client,
    prefix: String,
    next: AtomicU64,
    waiting: Arc<Waiting>,
    reader: OnceCell<AbortHandle>,
}

impl Replies {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            prefix: client.new_inbox(),
            client,
            next: AtomicU64::new(0),
            waiting: Arc::default(),
            reader: OnceCell::new(),
        }
    }

    /// Publishes a request and waits for its first reply, which may be the server's that nobody
    /// is there. Cancel-safe: dropping the future ends the wait.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn request(
        &self,
        subject: Subject,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Message> {
        self.reader.get_or_try_init(|| self.start_reader()).await?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        let _place = Place {
            waiting: &self.waiting,
            number,
        };

        let reply = format!("{}.{number}", self.prefix);
        self.client
            .publish_with_reply_and_headers(subject, reply, headers, body)
            .await
            .map_err(|error| wire::closed(error.to_string()))?;
        receiver
            .await
            .map_err(|_| wire::closed("it was closed before the reply came"))
    }

    async fn start_reader(&self) -> Result<AbortHandle> {
        let replies = self
            .client
            .subscribe(format!("{}.*", self.prefix))
            .await
            .map_err(|error| wire::closed(error.to_string()))?;
        let reader = tokio::spawn(read(replies, Arc::clone(&self.waiting)));
        Ok(reader.abort_handle())
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
    }
}

/// Gives each reply to whoever waits for it; a late one has nobody. Ends with the connection, and
/// then so does every wait.
async fn read(mut replies: Subscriber, waiting: Arc<Waiting>) {
    while let Some(reply) = replies.next().await {
        let number = reply
            .subject
            .rsplit('.')
            .next()
            .and_then(|number| number.parse().ok());
        let sender = number.and_then(|number: u64| lock(&waiting).remove(&number));
        if let Some(sender) = sender {
            // The caller may have given up at this very moment.
            drop(sender.send(reply));
        }
    }
    lock(&waiting).clear();
}

/// A place among those who wait; given back when dropped.
struct Place<'r> {
    waiting: &'r Waiting,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(self.waiting).remove(&self.number);
    }
}

/// Nothing that holds the lock can panic halfway through a change.
fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Message>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
