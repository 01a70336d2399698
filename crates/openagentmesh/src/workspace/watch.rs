//! Watching files.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openagentmesh_protocol::object::ObjectMeta;

use super::metadata::{self, ObjectInfo, all_objects};
use crate::error::Result;
use crate::store::{ObjectBucket, SharedBucket, Start, StoredMessage, latest};
use crate::util::deferred::Deferred;

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectChange {
    /// The file was written.
    Put(ObjectInfo),
    /// The file was deleted.
    Deleted {
        /// The name of the file.
        name: String,
    },
}

impl ObjectChange {
    /// The name of the changed file.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Put(object) => &object.name,
            Self::Deleted { name } => name,
        }
    }

    /// Parses a message of the bucket; `None` if it is not metadata, or names another file than its subject.
    pub(super) fn parse(message: &StoredMessage) -> Option<Self> {
        let meta: ObjectMeta = serde_json::from_slice(&message.payload).ok()?;
        if metadata::subject(&meta.name) != message.subject {
            return None;
        }
        if meta.deleted {
            return Some(Self::Deleted { name: meta.name });
        }
        Some(Self::Put(ObjectInfo::new(meta, message.published)))
    }
}

impl latest::Change for ObjectChange {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn is_deletion(&self) -> bool {
        matches!(self, Self::Deleted { .. })
    }
}

/// A watch. A future: the watch starts when it is first polled. Returned by
/// [`Workspace::watch`](super::Workspace::watch).
///
/// # Errors
///
/// Awaiting it fails with `connection_failed` when the server does not answer within 10 s, `storage_error`
/// when it refuses the watch.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing running.
#[must_use = "a watch starts when it is awaited"]
pub struct ObjectWatch(Deferred<'static, Parts, Result<ObjectChanges>>);

struct Parts {
    bucket: SharedBucket<ObjectBucket>,
    prefix: String,
    start: Start,
}

impl ObjectWatch {
    pub(super) fn new(bucket: &SharedBucket<ObjectBucket>, prefix: &str) -> Self {
        let parts = Parts {
            bucket: bucket.clone(),
            prefix: prefix.to_owned(),
            start: Start::Last,
        };
        Self(Deferred::new(parts, |parts| parts.begin().boxed()))
    }

    /// Omits the current files.
    pub fn updates_only(mut self) -> Self {
        self.0.change(|parts| parts.start = Start::New);
        self
    }
}

impl Parts {
    async fn begin(self) -> Result<ObjectChanges> {
        let Self {
            bucket,
            prefix,
            start,
        } = self;
        let parse = move |message: &StoredMessage| {
            let change = ObjectChange::parse(message)?;
            change.name().starts_with(&prefix).then_some(Ok(change))
        };
        let changes = latest::watch(&bucket, all_objects(), start, parse).await?;
        Ok(ObjectChanges(changes))
    }
}

impl Future for ObjectWatch {
    type Output = Result<ObjectChanges>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// A stream of changes, each an [`ObjectChange`] or an error; returned by awaiting an [`ObjectWatch`].
///
/// After a lost connection the stream continues with the changes in between: of a file that changed several
/// times, the last version. If the bucket was deleted or restored from a backup, its current files follow.
/// The stream ends when this connection is closed.
///
/// # Cancel safety
///
/// Cancelling the wait for the next change loses none. Dropping the stream ends the watch.
#[must_use = "streams do nothing unless polled"]
pub struct ObjectChanges(BoxStream<'static, Result<ObjectChange>>);

impl ObjectChanges {
    /// The next change; `None` after the last one. Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_denied` while the server does not permit the watch, for example after a reconnect; the stream
    /// continues. Messages that are not metadata are skipped.
    pub async fn next(&mut self) -> Option<Result<ObjectChange>> {
        StreamExt::next(&mut self.0).await
    }
}

impl Stream for ObjectChanges {
    type Item = Result<ObjectChange>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for ObjectChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectChanges").finish_non_exhaustive()
    }
}
