//! Watching keys.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};

use super::entry::{KvChange, subjects};
use super::key::check_pattern;
use crate::error::Result;
use crate::store::{KvBucket, SharedBucket, Start, StoredMessage, latest};
use crate::util::deferred::Deferred;

/// A watch. A future: the watch starts when it is first polled. Returned by [`Kv::watch`](super::Kv::watch).
///
/// # Errors
///
/// Awaiting it fails with `invalid_input` when the pattern is invalid, `connection_failed` when the server
/// does not answer within 10 s, `storage_error` when it refuses the watch.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing running.
#[must_use = "a watch starts when it is awaited"]
pub struct KvWatch(Deferred<'static, Parts, Result<KvChanges>>);

struct Parts {
    bucket: SharedBucket<KvBucket>,
    pattern: String,
    start: Start,
}

impl KvWatch {
    pub(super) fn new(bucket: &SharedBucket<KvBucket>, pattern: &str) -> Self {
        let parts = Parts {
            bucket: bucket.clone(),
            pattern: pattern.to_owned(),
            start: Start::Last,
        };
        Self(Deferred::new(parts, |parts| parts.begin().boxed()))
    }

    /// Omits the current values.
    pub fn updates_only(mut self) -> Self {
        self.0.change(|parts| parts.start = Start::New);
        self
    }
}

impl Parts {
    async fn begin(self) -> Result<KvChanges> {
        check_pattern(&self.pattern)?;
        let filter = subjects(&self.pattern);
        let parse = |message: &StoredMessage| Some(Ok(KvChange::new(message)));
        let changes = latest::watch(&self.bucket, filter, self.start, parse).await?;
        Ok(KvChanges {
            changes,
            _bucket: self.bucket,
        })
    }
}

impl Future for KvWatch {
    type Output = Result<KvChanges>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// A stream of changes, each a [`KvChange`] or an error; returned by awaiting a [`KvWatch`].
///
/// After a lost connection the stream continues with the changes in between: of a key that changed several
/// times, the last value. If the bucket was deleted or restored from a backup, its current values follow.
/// The stream ends when this connection is closed.
///
/// # Cancel safety
///
/// Cancelling the wait for the next change loses none. Dropping the stream ends the watch.
#[must_use = "streams do nothing unless polled"]
pub struct KvChanges {
    changes: BoxStream<'static, Result<KvChange>>,
    /// Keeps the connection open.
    _bucket: SharedBucket<KvBucket>,
}

impl KvChanges {
    /// The next change; `None` after the last one. Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_denied` while the server does not permit the watch, for example after a reconnect; the stream
    /// continues. Malformed messages are skipped with a warning in the log.
    pub async fn next(&mut self) -> Option<Result<KvChange>> {
        StreamExt::next(&mut self.changes).await
    }
}

impl Stream for KvChanges {
    type Item = Result<KvChange>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for KvChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KvChanges").finish_non_exhaustive()
    }
}
