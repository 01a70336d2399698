//! Hearing of keys that change.

use std::future::IntoFuture;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::jetstream::Message;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};

use super::{Kv, KvEntry, check_pattern, filter};
use crate::error::Result;
use crate::store::{Start, latest};

/// What happened to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvChange {
    /// It has this value now.
    Put(KvEntry),
    /// It has none any more.
    Deleted {
        /// The key.
        key: String,
        /// The number of the deletion, among those of the writes.
        revision: u64,
    },
}

impl KvChange {
    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Deleted { key, .. } => key,
        }
    }
}

impl latest::Change for KvChange {
    fn name(&self) -> &str {
        self.key()
    }

    fn is_deletion(&self) -> bool {
        matches!(self, Self::Deleted { .. })
    }
}

/// A watch that begins when it is awaited; made by [`Kv::watch`].
///
/// # Errors
///
/// Awaiting it fails with `invalid_input` when the pattern is none, `connection_failed` when the server
/// does not answer.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind.
#[must_use = "a watch begins when it is awaited"]
pub struct KvWatch {
    kv: Kv,
    pattern: String,
    start: Start,
}

impl KvWatch {
    pub(super) fn new(kv: &Kv, pattern: &str) -> Self {
        Self {
            kv: kv.clone(),
            pattern: pattern.to_owned(),
            start: Start::Last,
        }
    }

    /// Leaves out the values that are there already.
    pub fn updates_only(mut self) -> Self {
        self.start = Start::New;
        self
    }

    async fn begin(self) -> Result<KvChanges> {
        check_pattern(&self.pattern)?;
        let kv = self.kv;
        let filter = filter(&self.pattern);
        let reader = kv.clone();
        let read = move |message: &Message| Some(reader.change(message));
        let changes = latest::watch(kv.bucket(), filter, self.start, read).await?;
        Ok(KvChanges(changes))
    }
}

impl IntoFuture for KvWatch {
    type Output = Result<KvChanges>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.begin().boxed()
    }
}

/// Changes of keys, each as a [`KvChange`] or an error; what awaiting a [`KvWatch`] gives.
///
/// A lost connection is found again, and with it what changed meanwhile: of a key that changed several
/// times the last value. It ends when this connection is closed.
///
/// # Cancel safety
///
/// Waiting for the next change can be given up and begun again. Dropping it ends the watch.
#[must_use = "changes come when they are asked for"]
pub struct KvChanges(BoxStream<'static, Result<KvChange>>);

impl KvChanges {
    /// The next change; `None` when there are no more. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of the [items](KvChanges).
    pub async fn next(&mut self) -> Option<Result<KvChange>> {
        StreamExt::next(&mut self.0).await
    }
}

impl Stream for KvChanges {
    type Item = Result<KvChange>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for KvChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KvChanges").finish_non_exhaustive()
    }
}
