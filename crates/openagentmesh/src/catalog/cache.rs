//! What the catalog lists, kept up to date by one watch of the process.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::HeaderValue;
use futures::FutureExt;
use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY};
use openagentmesh_protocol::{CatalogDocument, subject};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::parse_catalog;
use super::snapshot::CatalogSnapshot;
use super::writer::{self, Written};
use crate::error::Result;
use crate::store::{Bucket, Delivery, OrderedConsumer, Start};

/// How long to wait before the catalog is watched again after that failed; then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How long after the process has connected the catalog is waited for.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The catalog as this process knows it.
#[derive(Clone)]
pub(crate) enum CacheState {
    /// The catalog has not been read yet.
    Loading,
    /// The catalog could not be read since the process connected.
    Unavailable,
    /// The last catalog that was read.
    Ready(Arc<CatalogSnapshot>),
}

impl CacheState {
    pub(crate) fn snapshot(&self) -> Option<&Arc<CatalogSnapshot>> {
        match self {
            Self::Ready(snapshot) => Some(snapshot),
            Self::Loading | Self::Unavailable => None,
        }
    }
}

/// Watches the catalog from the first time that somebody asks, until it is dropped.
pub(super) struct CatalogCache {
    catalog: Arc<Bucket>,
    known: watch::Sender<CacheState>,
    watching: OnceLock<AbortHandle>,
    made: Instant,
}

impl CatalogCache {
    pub(super) fn new(catalog: Arc<Bucket>) -> Self {
        Self {
            catalog,
            known: watch::Sender::new(CacheState::Loading),
            watching: OnceLock::new(),
            made: Instant::now(),
        }
    }

    /// What is known, now and after each change.
    pub(super) fn follow(&self) -> watch::Receiver<CacheState> {
        self.watching.get_or_init(|| {
            let closed = self.catalog.connection().closed();
            let watching = follow(Arc::clone(&self.catalog), self.known.clone());
            let watching = async move { closed.run_until_cancelled(watching).await };
            tokio::spawn(watching).abort_handle()
        });
        self.known.subscribe()
    }

    /// What is known. Waits only until the catalog was read once, and not long; without it, whoever
    /// asks does without or asks the server.
    pub(super) async fn snapshot(&self) -> Option<Arc<CatalogSnapshot>> {
        if matches!(*self.known.borrow(), CacheState::Loading) {
            self.first_look().boxed().await;
        }
        self.known.borrow().snapshot().cloned()
    }

    /// Waits until the catalog was read once.
    async fn first_look(&self) {
        let mut known = self.follow();
        let read = known.wait_for(|known| !matches!(known, CacheState::Loading));
        // Whoever comes later does not wait again.
        let until = self.made + FIRST_LOOK;
        drop(tokio::time::timeout_at(until, read).await);
    }

    /// Takes in what this process has just written, which its own watch tells later.
    pub(super) fn apply(&self, written: Written) {
        let Written {
            document,
            revision,
            begins_again,
        } = written;
        // The numbers of another bucket cannot be compared.
        if begins_again {
            replace(&self.known, document, revision);
        } else if self.known.borrow().snapshot().is_some() {
            apply(&self.known, document, revision);
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

/// Takes in a catalog if it is newer than what is known.
fn apply(known: &watch::Sender<CacheState>, catalog: CatalogDocument, revision: u64) {
    let is_news = |known: &CacheState| {
        let older = known.snapshot();
        older.is_none_or(|older| revision > older.revision())
    };
    if !is_news(&known.borrow()) {
        return;
    }
    let newer = read(known, catalog, revision);
    known.send_if_modified(|known| {
        let is_news = is_news(known);
        if is_news {
            *known = newer;
        }
        is_news
    });
}

/// Takes in a catalog, whatever is known.
fn replace(known: &watch::Sender<CacheState>, catalog: CatalogDocument, revision: u64) {
    let newer = read(known, catalog, revision);
    known.send_replace(newer);
}

/// Reads a catalog beside the lock: thousands of entries take their time.
fn read(known: &watch::Sender<CacheState>, catalog: CatalogDocument, revision: u64) -> CacheState {
    let older = known.borrow().snapshot().cloned();
    CacheState::Ready(Arc::new(match older {
        Some(older) => older.updated(catalog, revision),
        None => CatalogSnapshot::new(catalog, revision),
    }))
}

async fn follow(catalog: Arc<Bucket>, known: watch::Sender<CacheState>) {
    let mut pause = FIRST_RETRY;
    loop {
        match watch(&catalog, &known, &mut pause).await {
            // The connection is closed.
            Ok(()) => return,
            // Whoever needs it is told.
            Err(error) => tracing::debug!(%error, "the catalog cannot be watched now"),
        }
        // The server may have as many consumers as it allows, or allow this user none: then it is asked.
        match writer::read(&catalog).await {
            Ok((document, revision)) => {
                let is_known = known
                    .borrow()
                    .snapshot()
                    .is_some_and(|l| l.revision() == revision);
                if !is_known {
                    replace(&known, document, revision);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the catalog cannot be read now");
                known.send_if_modified(|known| {
                    let was_never_read = matches!(known, CacheState::Loading);
                    if was_never_read {
                        *known = CacheState::Unavailable;
                    }
                    was_never_read
                });
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RETRY);
    }
}

/// Watches the catalog until that fails, or the connection is closed.
async fn watch(
    catalog: &Arc<Bucket>,
    known: &watch::Sender<CacheState>,
    pause: &mut Duration,
) -> Result<()> {
    let subject = subject::kv(CATALOG, CATALOG_KEY);
    let mut tail = OrderedConsumer::open(Arc::clone(catalog), subject, Start::Last, false).await?;
    *pause = FIRST_RETRY;
    if tail.pending() == 0 {
        replace(known, CatalogDocument::default(), 0);
    }
    let mut begins = true;
    while let Some(arrival) = tail.next().await {
        let message = match arrival {
            Delivery::Message(message) => message,
            Delivery::Idle => continue,
            Delivery::BucketRecreated => {
                replace(known, CatalogDocument::default(), 0);
                begins = true;
                continue;
            }
        };
        let info = message
            .info()
            .map_err(|error| catalog.failed("watch", error))?;
        let operation = message.headers.as_ref().and_then(|h| h.get("KV-Operation"));
        let document = match operation.map(HeaderValue::as_str) {
            None | Some("PUT") => match parse_catalog(&message.payload) {
                Ok(document) => document,
                Err(error) => {
                    tracing::warn!(%error, "the catalog is taken to be what it was before");
                    continue;
                }
            },
            Some(_) => CatalogDocument::default(),
        };
        let revision = info.stream_sequence;
        // What this process wrote itself it knows already; the numbers of another bucket begin again.
        if std::mem::take(&mut begins) {
            replace(known, document, revision);
        } else {
            apply(known, document, revision);
        }
    }
    Ok(())
}
