//! Hearing of files that change.

use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::jetstream::Message;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openagentmesh_protocol::object::ObjectMeta;

use super::metadata::all_objects;
use super::{ObjectInfo, Workspace};
use crate::error::Result;
use crate::store::{Start, latest};

/// What happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObjectChange {
    /// It was written.
    Put(ObjectInfo),
    /// It was deleted.
    Deleted {
        /// Its name.
        name: String,
    },
}

impl ObjectChange {
    /// The name of the file that it is about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Put(object) => &object.name,
            Self::Deleted { name } => name,
        }
    }

    /// What a message of the bucket says; `None` where it is no description.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let meta: ObjectMeta = serde_json::from_slice(&message.payload).ok()?;
        if meta.deleted {
            return Some(Self::Deleted { name: meta.name });
        }
        let modified = message.info().ok()?.published;
        Some(Self::Put(ObjectInfo::of(meta, modified)))
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

/// A watch that begins when it is awaited; made by [`Workspace::watch`].
///
/// # Errors
///
/// Awaiting it fails with `connection_failed` when the server does not answer.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind.
#[must_use = "a watch begins when it is awaited"]
pub struct ObjectWatch {
    workspace: Workspace,
    prefix: String,
    start: Start,
}

impl ObjectWatch {
    pub(super) fn new(workspace: &Workspace, prefix: &str) -> Self {
        Self {
            workspace: workspace.clone(),
            prefix: prefix.to_owned(),
            start: Start::Last,
        }
    }

    /// Leaves out the files that are there already.
    pub fn updates_only(mut self) -> Self {
        self.start = Start::New;
        self
    }

    async fn begin(self) -> Result<ObjectChanges> {
        let Self {
            workspace,
            prefix,
            start,
        } = self;
        let read = move |message: &Message| {
            let change = ObjectChange::of(message)?;
            change.name().starts_with(&prefix).then_some(Ok(change))
        };
        let bucket = workspace.bucket();
        let changes = latest::watch(bucket, all_objects(), start, read).await?;
        Ok(ObjectChanges(changes))
    }
}

impl IntoFuture for ObjectWatch {
    type Output = Result<ObjectChanges>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.begin().boxed()
    }
}

/// Changes of files, each as an [`ObjectChange`] or an error; what awaiting an [`ObjectWatch`] gives.
///
/// A lost connection is found again, and with it what changed meanwhile: of a file that changed several
/// times the last version. It ends when this connection is closed.
///
/// # Cancel safety
///
/// Waiting for the next change can be given up and begun again. Dropping it ends the watch.
#[must_use = "changes come when they are asked for"]
pub struct ObjectChanges(BoxStream<'static, Result<ObjectChange>>);

impl ObjectChanges {
    /// The next change; `None` when there are no more. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of the [items](ObjectChanges).
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
