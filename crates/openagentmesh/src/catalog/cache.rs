//! The catalog in memory, kept up to date by one watch per process.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY};
use openagentmesh_protocol::{CatalogDocument, ErrorCode, subject};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::snapshot::CatalogSnapshot;
use super::state::{CacheState, apply, replace, set_malformed};
use super::writer::{self, Read, Written};
use crate::error::Result;
use crate::store::{Delivery, KvBucket, Meaning, OrderedConsumer, Start};
use crate::util::backoff::Backoff;

/// The bounds of the back-off after the watch failed.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The limit for loading the first snapshot, from the connection on.
const LOADING_TIMEOUT: Duration = Duration::from_secs(1);

/// A cache of the catalog. The first use starts its watch, dropping it ends the watch.
pub(super) struct CatalogCache {
    catalog: Arc<KvBucket>,
    state: watch::Sender<CacheState>,
    watching: OnceLock<AbortHandle>,
    created: Instant,
}

impl CatalogCache {
    pub(super) fn new(catalog: Arc<KvBucket>) -> Self {
        let initial = match catalog.connection().check_attached() {
            Ok(()) => CacheState::Loading,
            Err(_) => CacheState::Unavailable { is_denied: false },
        };
        Self {
            catalog,
            state: watch::Sender::new(initial),
            watching: OnceLock::new(),
            created: Instant::now(),
        }
    }

    /// The state, now and after each change.
    pub(super) fn follow(&self) -> watch::Receiver<CacheState> {
        self.watching.get_or_init(|| {
            let closed = self.catalog.connection().closed();
            let watching = keep_up_to_date(Arc::clone(&self.catalog), self.state.clone());
            let watching = async move { closed.run_until_cancelled(watching).await };
            tokio::spawn(watching).abort_handle()
        });
        self.state.subscribe()
    }

    /// The state by now. Does not start the watch.
    pub(super) fn current(&self) -> CacheState {
        self.state.borrow().clone()
    }

    /// The state. Waits for the first one for at most [`LOADING_TIMEOUT`].
    pub(super) async fn state(&self) -> CacheState {
        if matches!(*self.state.borrow(), CacheState::Loading) {
            self.wait_until_loaded().boxed().await;
        }
        self.state.borrow().clone()
    }

    /// The last snapshot. Waits for the first one for at most [`LOADING_TIMEOUT`]; `None` if there is none
    /// by then.
    pub(super) async fn snapshot(&self) -> Option<Arc<CatalogSnapshot>> {
        if matches!(*self.state.borrow(), CacheState::Loading) {
            self.wait_until_loaded().boxed().await;
        }
        self.state.borrow().snapshot().cloned()
    }

    async fn wait_until_loaded(&self) {
        let mut state = self.follow();
        let loaded = state.wait_for(|state| !matches!(state, CacheState::Loading));
        // An absolute deadline: later callers do not wait again.
        let deadline = self.created + LOADING_TIMEOUT;
        drop(tokio::time::timeout_at(deadline, loaded).await);
    }

    /// Stores a catalog that this process has written, before the watch delivers it.
    pub(super) fn apply(&self, written: Written) {
        let Written {
            document,
            revision,
            is_recreated,
        } = written;
        let has_state = self.state.borrow().revision().is_some();
        let snapshot = CatalogSnapshot::new(document, revision);
        if is_recreated {
            replace(&self.state, snapshot);
        } else if has_state {
            apply(&self.state, snapshot);
        }
    }
}

impl Drop for CatalogCache {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
    }
}

async fn keep_up_to_date(catalog: Arc<KvBucket>, state: watch::Sender<CacheState>) {
    let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
    loop {
        match watch(&catalog, &state, &mut backoff).await {
            // The connection is closed.
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the catalog cannot be watched"),
        }
        // The limit of consumers may be reached, or the user may lack the permission for one.
        poll(&catalog, &state).await;
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// Reads the catalog once, without a watch.
async fn poll(catalog: &KvBucket, state: &watch::Sender<CacheState>) {
    let current_revision = || state.borrow().revision();
    let before = current_revision();
    match writer::read(catalog).await {
        Ok(Read {
            document: Err(problem),
            revision,
            ..
        }) => set_malformed(state, revision, &problem),
        // This process has written the catalog during the read.
        Ok(Read {
            document: Ok(document),
            revision,
            ..
        }) if current_revision() != before => {
            apply(state, CatalogSnapshot::new(document, revision));
        }
        Ok(Read {
            document: Ok(document),
            revision,
            ..
        }) => {
            if before != Some(revision) {
                replace(state, CatalogSnapshot::new(document, revision));
            }
        }
        Err(error) => {
            tracing::debug!(%error, "the catalog cannot be read");
            state.send_if_modified(|state| {
                let is_loading = matches!(state, CacheState::Loading);
                if is_loading {
                    let is_denied = error.code() == &ErrorCode::ConnectionDenied;
                    *state = CacheState::Unavailable { is_denied };
                }
                is_loading
            });
        }
    }
}

/// Watches the catalog until that fails, or the connection is closed.
async fn watch(
    catalog: &Arc<KvBucket>,
    state: &watch::Sender<CacheState>,
    backoff: &mut Backoff,
) -> Result<()> {
    let subject = subject::kv(CATALOG, CATALOG_KEY);
    let mut consumer =
        OrderedConsumer::open(Arc::clone(catalog), subject, Start::Last, false).await?;
    backoff.reset();
    if consumer.pending() == 0 {
        replace(state, CatalogSnapshot::new(CatalogDocument::default(), 0));
    }
    // Whether the next message is the state of its bucket when the consumer was created. A later one must
    // not replace a newer catalog that this process has written.
    let mut is_first = consumer.pending() > 0;
    while let Some(delivery) = consumer.next().await {
        let message = match delivery {
            Delivery::Message(message) => message,
            Delivery::Idle => continue,
            Delivery::Denied(error) => return Err(error),
            Delivery::BucketRecreated => {
                replace(state, CatalogSnapshot::new(CatalogDocument::default(), 0));
                is_first = consumer.pending() > 0;
                continue;
            }
        };
        let (revision, published) = (message.sequence, message.published);
        let document = match message.meaning {
            Meaning::Value => writer::parse(message.payload).await,
            Meaning::Deletion => Ok(CatalogDocument::default()),
            Meaning::Malformed(reason) => Err(writer::malformed(reason)),
        };
        match document {
            Err(problem) => {
                is_first = false;
                set_malformed(state, revision, &problem);
            }
            Ok(document) => {
                let snapshot = CatalogSnapshot::delivered(document, revision, published);
                if std::mem::take(&mut is_first) {
                    replace(state, snapshot);
                } else {
                    apply(state, snapshot);
                }
            }
        }
    }
    Ok(())
}
