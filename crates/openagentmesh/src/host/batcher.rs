//! Batches chunks or events of a stream that never yields.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::error::{BoxError, Result};
use crate::session::Session;
use crate::transport::check_size;

/// How long a stream may hold its thread before its messages are flushed and other tasks run.
const MAX_HOLD: Duration = Duration::from_micros(200);
/// How many messages, and bytes of their bodies, are buffered at most.
const MAX_MESSAGES: usize = 512;
const MAX_BYTES: usize = 64 * 1024;

/// Batches chunks of a stream that never yields: up to 200 µs or 64 KiB, then one flush.
///
/// A message that is handed over alone wakes the connection's task for a write of its own. Messages of a stream
/// that is ready again at once are therefore handed over together. A message leaves as soon as the stream is
/// not ready. A handler that blocks its thread delays at most the batch before.
pub(super) struct Batcher {
    session: Arc<Session>,
    /// Messages that were added since the last flush.
    messages: Vec<Message>,
    /// The size of their bodies.
    bytes: usize,
    /// Since when the stream holds its thread; `None` until it is polled again.
    since: Option<Instant>,
}

struct Message {
    subject: Subject,
    reply: Option<Subject>,
    headers: HeaderMap,
    body: Bytes,
}

impl Batcher {
    pub(super) fn new(session: &Arc<Session>) -> Self {
        Self {
            session: Arc::clone(session),
            messages: Vec::new(),
            bytes: 0,
            since: None,
        }
    }

    /// The next item of `chunks`. If the stream has to be waited for, all messages are flushed before.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush).
    pub(super) async fn next(
        &mut self,
        chunks: &mut (impl Stream<Item = Result<Bytes, BoxError>> + Unpin),
    ) -> Result<Option<Result<Bytes, BoxError>>> {
        self.since.get_or_insert_with(Instant::now);
        let at_once = poll_fn(|context| Poll::Ready(chunks.poll_next_unpin(context)));
        if let Poll::Ready(next) = at_once.await {
            return Ok(next);
        }
        self.flush().await?;
        // A stream that yielded to other tasks must not be polled before they ran.
        yield_now().await;
        let next = chunks.next().await;
        self.since = Some(Instant::now());
        Ok(next)
    }

    /// Adds a message. To be followed by [`flush_if_due`](Self::flush_if_due).
    ///
    /// # Errors
    ///
    /// `payload_too_large` when the message exceeds the server's limit.
    pub(super) fn add(
        &mut self,
        subject: Subject,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<()> {
        check_size(&self.session.connection.client, &headers, body.len())?;
        self.bytes += body.len();
        self.messages.push(Message {
            subject,
            reply,
            headers,
            body,
        });
        Ok(())
    }

    /// Flushes if the batch is full, or if the stream has held its thread for long enough; other tasks run
    /// then.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush).
    pub(super) async fn flush_if_due(&mut self) -> Result<()> {
        if self.since.is_some_and(|since| since.elapsed() > MAX_HOLD) {
            self.flush().await?;
            yield_now().await;
        } else if self.messages.len() >= MAX_MESSAGES || self.bytes >= MAX_BYTES {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Hands over all messages to the connection, in their order. To be called before the stream's task waits.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed; the messages that are left are dropped then, as they are
    /// when the future is dropped.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.since = None;
        self.hand_over().await
    }

    async fn hand_over(&mut self) -> Result<()> {
        self.bytes = 0;
        let publisher = &self.session.connection.publisher;
        for message in self.messages.drain(..) {
            let published = publisher.publish(
                message.subject,
                message.reply,
                message.headers,
                message.body,
            );
            published.await?;
        }
        Ok(())
    }
}
