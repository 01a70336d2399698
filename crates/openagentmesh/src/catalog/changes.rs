//! Watching the catalog.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openagentmesh_protocol::{CatalogEntry, CatalogFilter};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cache::CacheState;
use super::snapshot::CatalogSnapshot;

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogChange {
    /// An agent was added.
    Added(CatalogEntry),
    /// The entry of an agent changed; this is the new one.
    Changed(CatalogEntry),
    /// An agent was removed; this is its last entry.
    Removed(CatalogEntry),
}

impl CatalogChange {
    /// The entry of the agent concerned.
    #[must_use]
    pub fn entry(&self) -> &CatalogEntry {
        match self {
            Self::Added(entry) | Self::Changed(entry) | Self::Removed(entry) => entry,
        }
    }
}

/// A stream of changes of the catalog; returned by [`Query::watch`](crate::Query::watch).
///
/// Changes are coalesced for a slow consumer: an agent that was added and removed in between is skipped.
/// Applied in order, the changes always lead to the current catalog. The stream ends when the connection is
/// closed.
///
/// # Cancel safety
///
/// Cancelling the wait for the next change loses none.
#[must_use = "streams do nothing unless polled"]
pub struct CatalogChanges(BoxStream<'static, CatalogChange>);

impl CatalogChanges {
    pub(crate) fn new(
        state: watch::Receiver<CacheState>,
        filter: CatalogFilter,
        closed: CancellationToken,
    ) -> Self {
        let mut watch = Watch {
            state,
            closed,
            filter,
            reported: HashMap::new(),
            pending: VecDeque::new(),
        };
        watch.update();
        let changes = futures::stream::unfold(watch, |mut watch| async move {
            let change = watch.next().await?;
            Some((change, watch))
        });
        Self(changes.fuse().boxed())
    }

    /// The changes of a catalog with `entries` that stays as it is.
    pub(crate) fn present(entries: Vec<CatalogEntry>) -> Self {
        let added = entries.into_iter().map(CatalogChange::Added);
        Self(futures::stream::iter(added).fuse().boxed())
    }

    /// The next change; `None` after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Option<CatalogChange> {
        StreamExt::next(&mut self.0).await
    }
}

impl Stream for CatalogChanges {
    type Item = CatalogChange;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for CatalogChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogChanges").finish_non_exhaustive()
    }
}

struct Watch {
    state: watch::Receiver<CacheState>,
    closed: CancellationToken,
    filter: CatalogFilter,
    /// The catalog that the changes so far lead to, pending ones included.
    reported: HashMap<String, Arc<CatalogEntry>>,
    /// The changes that are not yet returned.
    pending: VecDeque<CatalogChange>,
}

impl Watch {
    async fn next(&mut self) -> Option<CatalogChange> {
        while self.pending.is_empty() {
            let changed = self.closed.run_until_cancelled(self.state.changed());
            changed.await?.ok()?;
            self.update();
        }
        self.pending.pop_front()
    }

    fn update(&mut self) {
        let state = self.state.borrow_and_update().clone();
        if let Some(snapshot) = state.snapshot() {
            self.compare(snapshot);
        }
    }

    fn compare(&mut self, snapshot: &CatalogSnapshot) {
        let mut removed = std::mem::take(&mut self.reported);
        for entry in snapshot.entries() {
            if !self.filter.matches(entry) {
                continue;
            }
            match removed.remove(&entry.name) {
                None => self
                    .pending
                    .push_back(CatalogChange::Added(CatalogEntry::clone(entry))),
                Some(older) if *older != **entry => {
                    self.pending
                        .push_back(CatalogChange::Changed(CatalogEntry::clone(entry)));
                }
                Some(_) => {}
            }
            self.reported.insert(entry.name.clone(), Arc::clone(entry));
        }
        let removed = removed.into_values();
        self.pending
            .extend(removed.map(|entry| CatalogChange::Removed(CatalogEntry::clone(&entry))));
    }
}
