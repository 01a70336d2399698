//! The catalog in memory. A process follows the headers of its writes, and reads its value when it is needed.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use openagentmesh_protocol::AgentName;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::follow;
use super::follower::Follower;
use super::shared::Shared;
use super::snapshot::CatalogSnapshot;
use super::state::{CacheState, apply, replace};
use super::writer::{self, Written};
use crate::error::Result;
use crate::store::KvBucket;

/// The limit for loading the first snapshot, from the connection on.
const LOADING_TIMEOUT: Duration = Duration::from_secs(1);
/// The interval of reads while the catalog changes, for those who follow it and for the checks before a request.
pub(super) const READ_INTERVAL: Duration = Duration::from_millis(250);

/// A cache of the catalog. The first use starts to follow it, dropping it ends that.
pub(super) struct CatalogCache {
    shared: Arc<Shared>,
    following: OnceLock<AbortHandle>,
    created: Instant,
}

impl CatalogCache {
    pub(super) fn new(catalog: Arc<KvBucket>) -> Self {
        Self {
            shared: Arc::new(Shared::new(catalog)),
            following: OnceLock::new(),
            created: Instant::now(),
        }
    }

    /// Starts to follow the catalog, and to load it, unless that was done before.
    pub(super) fn start(&self) {
        self.following.get_or_init(|| {
            let closed = self.shared.catalog.connection().closed();
            let following = follow::keep_following(Arc::clone(&self.shared));
            let following = async move { closed.run_until_cancelled(following).await };
            tokio::spawn(following).abort_handle()
        });
    }

    /// A follower of the state, which keeps it fresh while it waits: it reads at most once per `interval`.
    pub(super) fn follow(&self, interval: Duration) -> Follower {
        self.start();
        Follower::new(Arc::clone(&self.shared), interval)
    }

    /// The state by now. Reads nothing.
    pub(super) fn current(&self) -> CacheState {
        self.shared.state.borrow().clone()
    }

    /// Whether the state lacks a write that was heard of.
    pub(super) fn is_stale(&self) -> bool {
        self.shared.is_stale()
    }

    /// The state for a query: with every write that was heard of. Waits for the first state for at most
    /// [`LOADING_TIMEOUT`]. While the catalog cannot be read, the last state that was.
    pub(super) async fn state(&self) -> CacheState {
        self.load().await;
        if self.is_stale() {
            self.shared.refresh_while_connected().boxed().await;
        }
        self.current()
    }

    /// As [`state`](Self::state), for a query about agent `name` alone.
    pub(super) async fn state_of(&self, name: &AgentName) -> CacheState {
        self.load().await;
        if self.shared.may_concern(name) {
            self.shared.refresh_while_connected().boxed().await;
        }
        self.current()
    }

    /// The state for a check before a request to agent `name`: that by now, if it lists the agent. An agent that is not
    /// listed may be new: then the catalog is read, at most once per [`READ_INTERVAL`].
    pub(super) async fn state_before_request(&self, name: &AgentName) -> CacheState {
        self.load().await;
        let state = self.current();
        let is_listed = state.snapshot().is_some_and(|known| known.has(name));
        if !is_listed && self.shared.may_concern(name) && self.shared.is_due(READ_INTERVAL) {
            self.shared.refresh_while_connected().boxed().await;
            return self.current();
        }
        state
    }

    async fn load(&self) {
        if matches!(*self.shared.state.borrow(), CacheState::Loading) {
            self.wait_until_loaded().boxed().await;
        }
    }

    async fn wait_until_loaded(&self) {
        self.start();
        let mut state = self.shared.state.subscribe();
        let loaded = state.wait_for(|state| !matches!(state, CacheState::Loading));
        // An absolute deadline: later callers do not wait again.
        let deadline = self.created + LOADING_TIMEOUT;
        drop(tokio::time::timeout_at(deadline, loaded).await);
    }

    /// Reads the catalog from the server, whatever the cache has. The cache gets the result if it is newer.
    pub(super) async fn read(&self) -> Result<Arc<CatalogSnapshot>> {
        let mark = self.shared.heard.borrow().mark();
        let read = writer::read(&self.shared.catalog).await?;
        let is_used = self.following.get().is_some();
        self.shared.store(mark, read, is_used)
    }

    /// Stores a catalog that this process has written.
    pub(super) fn apply(&self, written: Written) {
        let snapshot = CatalogSnapshot::new(written.document, written.revision);
        let (revision, is_recreated) = (written.revision, written.is_recreated);
        let shared = &self.shared;
        shared.heard.send_modify(|heard| {
            if is_recreated {
                heard.replaced(revision);
                replace(&shared.state, Arc::new(snapshot));
            } else {
                apply(&shared.state, Arc::new(snapshot));
                heard.written(revision);
            }
        });
    }
}

impl Drop for CatalogCache {
    fn drop(&mut self) {
        if let Some(following) = self.following.get() {
            following.abort();
        }
    }
}
