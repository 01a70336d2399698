//! Where the messages of a bucket come from.

use std::sync::Arc;

use async_nats::jetstream::stream::Info;

use super::active_consumer::{ActiveConsumer, Arrival};
use super::bucket::Bucket;
use super::cursor::Cursor;
use super::handle::Handle;
use super::reads::is_denied;
use crate::error::Result;

/// The first message that is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The last message of each subject, for a list: new ones are not awaited.
    Stored,
    /// The last message of each subject, then all new ones.
    Last,
    /// The first message written from now on.
    New,
}

/// The source of an [`OrderedConsumer`](super::ordered_consumer::OrderedConsumer).
pub(super) enum Source<H: Handle> {
    /// A consumer on the server, which delivers the messages.
    Consumer(Box<ActiveConsumer>),
    /// Requests for one message after the other, of a user who may have no consumers.
    Cursor(Box<Cursor<H>>),
}

impl<H: Handle> Source<H> {
    /// A source of the messages that `filter` matches, from `next_sequence` on, or with the last one of each subject.
    /// Returns it with the number of its messages that the bucket has, as far as it is known: more than 0 if there are
    /// any. `info` is the current state of the bucket.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `connection_denied` when it permits neither consumers nor
    /// single reads, or not the subscription to new messages; `storage_error` when it refuses the consumer.
    pub(super) async fn create(
        bucket: &Arc<Bucket<H>>,
        filter: &str,
        headers_only: bool,
        start: Start,
        next_sequence: Option<u64>,
        info: &Info,
    ) -> Result<(Self, u64)> {
        const CREATE: &str = "CONSUMER.CREATE";
        if !bucket.is_request_denied(CREATE) {
            let consumer = ActiveConsumer::create(bucket, filter, headers_only, next_sequence);
            match consumer.await {
                Ok((consumer, pending)) => {
                    return Ok((Self::Consumer(Box::new(consumer)), pending));
                }
                Err(error) if is_denied(&error) && bucket.is_request_denied(CREATE) => {
                    tracing::debug!(%error, "messages are read one by one");
                }
                Err(error) => return Err(error),
            }
        }
        let is_followed = start != Start::Stored;
        let cursor = Cursor::create(
            bucket,
            filter,
            headers_only,
            next_sequence,
            info,
            is_followed,
        );
        let (cursor, pending) = cursor.await?;
        Ok((Self::Cursor(Box::new(cursor)), pending))
    }

    /// Whether each message takes a request.
    pub(super) fn is_cursor(&self) -> bool {
        matches!(self, Self::Cursor(_))
    }

    /// The next event. Cancel-safe.
    pub(super) async fn next(&mut self) -> Arrival {
        match self {
            Self::Consumer(consumer) => consumer.next().await,
            Self::Cursor(cursor) => cursor.next().await,
        }
    }
}
