//! Hearing of agents that come, change and go.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openagentmesh_protocol::{CatalogEntry, CatalogFilter};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{CacheState, CatalogSnapshot};

/// What happened to an agent in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogChange {
    /// It is listed now.
    Added(CatalogEntry),
    /// Its entry says something else now; this is the new one.
    Changed(CatalogEntry),
    /// It is not listed any more; this is what its entry was.
    Removed(CatalogEntry),
}

impl CatalogChange {
    /// The entry that it is about.
    #[must_use]
    pub fn entry(&self) -> &CatalogEntry {
        match self {
            Self::Added(entry) | Self::Changed(entry) | Self::Removed(entry) => entry,
        }
    }
}

/// The changes of the catalog; made by [`Query::watch`](super::Query::watch).
///
/// Whoever takes them slowly gets fewer of them: an agent that came and went meanwhile is not told of,
/// what is told is always how the catalog became what it is. They end when the connection is closed.
///
/// # Cancel safety
///
/// Waiting for the next change can be given up and begun again.
#[must_use = "changes come when they are asked for"]
pub struct CatalogChanges(BoxStream<'static, CatalogChange>);

impl CatalogChanges {
    pub(crate) fn new(
        known: watch::Receiver<CacheState>,
        filter: CatalogFilter,
        closed: CancellationToken,
    ) -> Self {
        let mut following = Following {
            known,
            closed,
            filter,
            told: HashMap::new(),
            changes: VecDeque::new(),
        };
        following.look();
        let changes = futures::stream::unfold(following, |mut following| async move {
            let change = following.next().await?;
            Some((change, following))
        });
        Self(changes.fuse().boxed())
    }

    /// The next change; `None` when there are no more. Cancel-safe.
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

struct Following {
    known: watch::Receiver<CacheState>,
    closed: CancellationToken,
    filter: CatalogFilter,
    /// What the changes so far amount to.
    told: HashMap<String, Arc<CatalogEntry>>,
    /// What is to be told next.
    changes: VecDeque<CatalogChange>,
}

impl Following {
    async fn next(&mut self) -> Option<CatalogChange> {
        while self.changes.is_empty() {
            let changed = self.closed.run_until_cancelled(self.known.changed());
            changed.await?.ok()?;
            self.look();
        }
        self.changes.pop_front()
    }

    fn look(&mut self) {
        let known = self.known.borrow_and_update().clone();
        if let Some(listing) = known.snapshot() {
            self.compare(listing);
        }
    }

    fn compare(&mut self, listing: &CatalogSnapshot) {
        let mut gone = std::mem::take(&mut self.told);
        for entry in listing.entries() {
            if !self.filter.matches(entry) {
                continue;
            }
            match gone.remove(&entry.name) {
                None => self
                    .changes
                    .push_back(CatalogChange::Added(CatalogEntry::clone(entry))),
                Some(older) if *older != **entry => {
                    self.changes
                        .push_back(CatalogChange::Changed(CatalogEntry::clone(entry)));
                }
                Some(_) => {}
            }
            self.told.insert(entry.name.clone(), Arc::clone(entry));
        }
        let gone = gone.into_values();
        self.changes
            .extend(gone.map(|entry| CatalogChange::Removed(CatalogEntry::clone(&entry))));
    }
}
