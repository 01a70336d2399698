//! What the catalog lists, kept up to date by one watch of the process.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::jetstream::kv::Operation;
use futures::StreamExt;
use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY};
use openagentmesh_protocol::{AgentName, Capabilities, CatalogDocument};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::bucket::{self, Bucket};
use super::{catalog_writer, parse_catalog};
use crate::connection::Connection;
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

/// The names in the catalog, with what each agent can do where its entry is understood.
pub(crate) struct Listing(HashMap<String, Option<Capabilities>>);

impl Listing {
    fn of(catalog: &CatalogDocument) -> Self {
        let mut listing: HashMap<_, _> = catalog.names().map(|name| (name, None)).collect();
        for entry in catalog.entries() {
            let capabilities = entry.capabilities();
            listing.insert(entry.name, Some(capabilities));
        }
        Self(listing)
    }

    /// Whether `name` is listed.
    pub(crate) fn lists(&self, name: &AgentName) -> bool {
        self.0.contains_key(name.as_str())
    }
}

/// Watches the catalog from the first time that somebody asks, until it is dropped.
pub(super) struct CatalogCache {
    connection: Connection,
    catalog: Arc<Bucket>,
    known: watch::Sender<Known>,
    watching: OnceLock<AbortHandle>,
}

impl CatalogCache {
    pub(super) fn new(connection: Connection, catalog: Arc<Bucket>) -> Self {
        Self {
            connection,
            catalog,
            known: watch::Sender::new(Known::NotYet),
            watching: OnceLock::new(),
        }
    }

    /// What is known, now and after each change.
    pub(super) fn follow(&self) -> watch::Receiver<Known> {
        self.watching.get_or_init(|| {
            let watching = follow(
                self.connection.clone(),
                Arc::clone(&self.catalog),
                self.known.clone(),
            );
            tokio::spawn(watching).abort_handle()
        });
        self.known.subscribe()
    }

    /// What `name` can do, as far as is known. Waits only until the catalog was read once.
    pub(super) async fn capabilities(&self, name: &AgentName) -> Option<Capabilities> {
        if matches!(*self.known.borrow(), Known::NotYet) {
            let mut known = self.follow();
            let read = known.wait_for(|known| !matches!(known, Known::NotYet));
            // Without the catalog, the host says whether the verb fits.
            drop(tokio::time::timeout(FIRST_LOOK, read).await);
        }
        match &*self.known.borrow() {
            Known::Listing(listing) => listing.0.get(name.as_str()).copied().flatten(),
            Known::NotYet | Known::Nothing => None,
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

async fn follow(connection: Connection, catalog: Arc<Bucket>, known: watch::Sender<Known>) {
    let mut reconnections = connection.watch_reconnections();
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
    let publish = |catalog: &CatalogDocument| {
        known.send_replace(Known::Listing(Arc::new(Listing::of(catalog))));
    };
    let store = catalog.open_or_create().await?;
    let mut changes = store
        .watch(CATALOG_KEY)
        .await
        .map_err(|error| bucket::failed("watch", CATALOG, error))?;
    // A catalog that lost everything has nothing to send.
    let (current, revision) = catalog_writer::read(&store).await?;
    publish(&current);
    while let Some(change) = changes.next().await {
        let entry = change.map_err(|error| bucket::failed("watch", CATALOG, error))?;
        if entry.revision <= revision {
            continue;
        }
        match entry.operation {
            Operation::Put => publish(&parse_catalog(&entry.value)?),
            Operation::Delete | Operation::Purge => publish(&CatalogDocument::default()),
        }
    }
    Ok(())
}
