//! What the catalog lists, kept up to date by one watch of the process.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::jetstream::kv::Operation;
use futures::StreamExt;
use openagentmesh_protocol::CatalogDocument;
use openagentmesh_protocol::bucket::CATALOG_KEY;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::listing::Listing;
use super::{catalog_writer, parse_catalog};
use crate::bucket::Bucket;
use crate::error::Result;

/// How long to wait before the catalog is watched again after that failed.
const RETRY: Duration = Duration::from_secs(2);
/// How long to wait for the catalog when it is first asked for.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The catalog as this process knows it.
#[derive(Clone)]
pub(crate) enum Known {
    /// It was not read yet.
    NotYet,
    /// It cannot be read now, and never could.
    Nothing,
    /// What it listed when it was last heard of.
    Listing(Arc<Listing>),
}

impl Known {
    pub(crate) fn listing(&self) -> Option<&Arc<Listing>> {
        match self {
            Self::Listing(listing) => Some(listing),
            Self::NotYet | Self::Nothing => None,
        }
    }
}

/// Watches the catalog from the first time that somebody asks, until it is dropped.
pub(super) struct CatalogCache {
    catalog: Arc<Bucket>,
    known: watch::Sender<Known>,
    watching: OnceLock<AbortHandle>,
}

impl CatalogCache {
    pub(super) fn new(catalog: Arc<Bucket>) -> Self {
        Self {
            catalog,
            known: watch::Sender::new(Known::NotYet),
            watching: OnceLock::new(),
        }
    }

    /// What is known, now and after each change.
    pub(super) fn follow(&self) -> watch::Receiver<Known> {
        self.watching.get_or_init(|| {
            let watching = follow(Arc::clone(&self.catalog), self.known.clone());
            tokio::spawn(watching).abort_handle()
        });
        self.known.subscribe()
    }

    /// What is known. Waits only until the catalog was read once, and not long; without it, whoever
    /// asks does without or asks the server.
    pub(super) async fn listing(&self) -> Option<Arc<Listing>> {
        if matches!(*self.known.borrow(), Known::NotYet) {
            let mut known = self.follow();
            let read = known.wait_for(|known| !matches!(known, Known::NotYet));
            drop(tokio::time::timeout(FIRST_LOOK, read).await);
        }
        self.known.borrow().listing().cloned()
    }

    /// Takes in what this process has just written, which its own watch tells later.
    pub(super) fn learn(&self, catalog: CatalogDocument, revision: u64) {
        learn(&self.known, catalog, revision);
    }
}

impl Drop for CatalogCache {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.get() {
            watching.abort();
        }
    }
}

/// Takes in a catalog that is newer than what is known.
fn learn(known: &watch::Sender<Known>, catalog: CatalogDocument, revision: u64) {
    known.send_if_modified(|known| {
        let Some(older) = known.listing() else {
            return false;
        };
        let is_newer = revision > older.revision();
        if is_newer {
            *known = Known::Listing(Arc::new(older.updated(catalog, revision)));
        }
        is_newer
    });
}

async fn follow(catalog: Arc<Bucket>, known: watch::Sender<Known>) {
    let mut reconnections = catalog.connection().watch_reconnections();
    loop {
        reconnections.mark_unchanged();
        let watched = tokio::select! {
            watched = watch(&catalog, &known) => watched,
            // Whatever was under way is about a server that is gone.
            found_again = reconnections.changed() => match found_again {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if let Err(error) = watched {
            tracing::debug!(%error, "the catalog cannot be watched now");
        }
        known.send_if_modified(|known| {
            let was_never_read = matches!(known, Known::NotYet);
            if was_never_read {
                *known = Known::Nothing;
            }
            was_never_read
        });
        tokio::time::timeout(RETRY, reconnections.changed())
            .await
            .ok();
    }
}

/// Watches the catalog until that fails.
async fn watch(catalog: &Bucket, known: &watch::Sender<Known>) -> Result<()> {
    let watching =
        |store: async_nats::jetstream::kv::Store| async move { store.watch(CATALOG_KEY).await };
    let mut changes = catalog.try_with("watch", watching).await?;
    // A catalog that lost everything has nothing to send.
    let (current, revision) = catalog_writer::read(catalog).await?;
    known.send_modify(|known| {
        let listing = match known.listing() {
            Some(older) => older.updated(current, revision),
            None => Listing::new(current, revision),
        };
        *known = Known::Listing(Arc::new(listing));
    });
    while let Some(change) = changes.next().await {
        let entry = change.map_err(|error| catalog.failed("watch", error))?;
        let current = match entry.operation {
            Operation::Put => parse_catalog(&entry.value)?,
            Operation::Delete | Operation::Purge => CatalogDocument::default(),
        };
        learn(known, current, entry.revision);
    }
    Ok(())
}
