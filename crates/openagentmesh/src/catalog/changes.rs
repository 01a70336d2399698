//! Watching the catalog.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openagentmesh_protocol::{CatalogDocument, CatalogEntry, CatalogFilter};
use tokio_util::sync::CancellationToken;

use super::follower::Follower;
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
    pub(crate) fn new(state: Follower, filter: CatalogFilter, closed: CancellationToken) -> Self {
        let mut watch = Watch {
            state,
            closed,
            filter,
            before: None,
            after: None,
            position: Position::Done,
        };
        // The watch starts with the agents that are present now, however late it is polled.
        watch.advance();
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

/// Compares one snapshot with the next. Changes are made one by one, so that those of a large catalog take no memory.
struct Watch {
    state: Follower,
    closed: CancellationToken,
    filter: CatalogFilter,
    /// The catalog that the changes before this comparison lead to.
    before: Option<Arc<CatalogSnapshot>>,
    /// The catalog that the changes of this comparison lead to.
    after: Option<Arc<CatalogSnapshot>>,
    position: Position,
}

/// The part of a comparison that is done.
enum Position {
    /// The elements of the newer catalog up to this position.
    Newer(usize),
    /// All elements of the newer catalog, and those of the older one up to this position.
    Older(usize),
    /// All elements of both, or nothing was compared yet.
    Done,
}

impl Watch {
    async fn next(&mut self) -> Option<CatalogChange> {
        loop {
            if let Some(change) = self.compare() {
                return Some(change);
            }
            let changed = self.closed.run_until_cancelled(self.state.changed());
            changed.await?;
            self.advance();
        }
    }

    /// Begins to compare the last catalog with the current one, if it can be read.
    fn advance(&mut self) {
        let state = self.state.current();
        if let Some(snapshot) = state.snapshot() {
            self.before = self.after.replace(Arc::clone(snapshot));
            self.position = Position::Newer(0);
        }
    }

    /// The next change from the older to the newer catalog.
    fn compare(&mut self) -> Option<CatalogChange> {
        let after = self.after.as_ref()?.document();
        let before = self.before.as_ref().map(|before| before.document());
        loop {
            match self.position {
                Position::Done => return None,
                Position::Newer(position) => {
                    let Some((next, name, text)) = after.next_listed(position) else {
                        self.position = Position::Older(0);
                        continue;
                    };
                    self.position = Position::Newer(next);
                    if before.is_some_and(|before| before.text(name) == Some(text)) {
                        continue;
                    }
                    let older = before.and_then(|before| self.matching(before, name));
                    let change = match (older, self.matching(after, name)) {
                        (None, Some(newer)) => CatalogChange::Added(newer),
                        (Some(older), Some(newer)) if older != newer => {
                            CatalogChange::Changed(newer)
                        }
                        (Some(older), None) => CatalogChange::Removed(older),
                        _ => continue,
                    };
                    return Some(change);
                }
                Position::Older(position) => {
                    let next = before.and_then(|before| before.next_listed(position));
                    let Some((next, name, _)) = next else {
                        self.position = Position::Done;
                        continue;
                    };
                    self.position = Position::Older(next);
                    if after.text(name).is_none()
                        && let Some(older) = before.and_then(|before| self.matching(before, name))
                    {
                        return Some(CatalogChange::Removed(older));
                    }
                }
            }
        }
    }

    fn matching(&self, catalog: &CatalogDocument, name: &str) -> Option<CatalogEntry> {
        let entry = catalog.get(name)?;
        self.filter.matches(&entry).then_some(entry)
    }
}
