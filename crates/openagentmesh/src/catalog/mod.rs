//! Finding agents: the catalog, the contracts, and keeping both up to date.
//!
//! `cache` follows the catalog and holds it as a `listing`; `query`, `changes` and `appearance` are
//! what callers ask of it, `contract` is what they get of one agent. `catalog_writer` and `registry`
//! write, a `registration` for each agent.

mod cache;
mod changes;
mod contract;
mod registration;
mod registry;
mod snapshot;
mod writer;

use std::sync::Arc;

use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY, REGISTRY};
use openagentmesh_protocol::{AgentName, Capabilities, CatalogDocument, CatalogEntry, ErrorCode};
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::store::Bucket;
use crate::transport::Connection;
use cache::CatalogCache;
use snapshot::CatalogSnapshot;

pub use changes::{CatalogChange, CatalogChanges};
pub use contract::Contract;

pub(crate) use cache::CacheState;
pub(crate) use registration::Registration;

/// The mesh's catalog and registry.
pub(crate) struct Directory {
    catalog: Arc<Bucket>,
    registry: Bucket,
    cache: CatalogCache,
}

impl Directory {
    pub(crate) fn new(connection: &Connection) -> Self {
        let catalog = Arc::new(Bucket::new(connection.clone(), CATALOG));
        Self {
            cache: CatalogCache::new(Arc::clone(&catalog)),
            catalog,
            registry: Bucket::new(connection.clone(), REGISTRY),
        }
    }

    /// The catalog as this process knows it, or as it is if it knows nothing yet.
    pub(crate) async fn snapshot(&self) -> Result<Arc<CatalogSnapshot>> {
        match self.cache.snapshot().await {
            Some(snapshot) => Ok(snapshot),
            None => self.read_snapshot().await,
        }
    }

    /// The catalog as it is.
    pub(crate) async fn read_snapshot(&self) -> Result<Arc<CatalogSnapshot>> {
        let (document, revision) = writer::read(&self.catalog).await?;
        Ok(Arc::new(CatalogSnapshot::new(document, revision)))
    }

    /// The catalog's entry of `name`, as far as this process knows.
    pub(crate) async fn known_entry(&self, name: &AgentName) -> Result<Option<Arc<CatalogEntry>>> {
        Ok(self.snapshot().await?.get(name.as_str()).cloned())
    }

    /// The catalog's entry of `name`, as it is now.
    pub(crate) async fn entry(&self, name: &AgentName) -> Result<Option<Arc<CatalogEntry>>> {
        Ok(self.read_snapshot().await?.get(name.as_str()).cloned())
    }

    /// What `name` can do, as far as this process knows.
    pub(crate) async fn capabilities(&self, name: &AgentName) -> Option<Capabilities> {
        let snapshot = self.cache.snapshot().await?;
        Some(snapshot.get(name.as_str())?.capabilities())
    }

    /// What this process knows of the catalog, now and after each change.
    pub(crate) fn follow(&self) -> watch::Receiver<CacheState> {
        self.cache.follow()
    }

    /// The contract of `name`, from the registry.
    pub(crate) async fn contract(&self, name: &AgentName) -> Result<Contract> {
        let document = registry::get(&self.registry, name).await?;
        document.map(Contract::new).ok_or_else(|| not_found(name))
    }

    /// The contracts of `names`, in their order; those missing or malformed are left out.
    pub(crate) async fn contracts(&self, names: &[AgentName]) -> Result<Vec<Contract>> {
        let documents = registry::get_all(&self.registry, names).await?;
        Ok(documents.into_iter().map(Contract::new).collect())
    }

    /// Lists `agents` that were not served here before. Nothing stays behind if that fails.
    pub(crate) async fn add(&self, agents: &[Registration]) -> Result<()> {
        // Those that others serve too stay listed whatever happens.
        let known = self.cache.snapshot().await;
        let is_new = |name: &AgentName| known.as_ref().is_none_or(|known| !known.lists(name));
        let names = agents.iter().map(|agent| agent.name.clone());
        let new: Vec<AgentName> = names.filter(is_new).collect();
        if let Some(known) = &known {
            writer::check_size(&self.catalog, known, entries(agents))?;
        }
        let added = self.list(agents).await;
        if added.is_err()
            && let Err(error) = self.remove(&new).await
        {
            tracing::warn!(%error, "agents whose registration failed may stay listed");
        }
        added
    }

    /// Lists `agents`: each in the registry, then all in the catalog at once.
    pub(crate) async fn list(&self, agents: &[Registration]) -> Result<()> {
        registry::put_all(&self.registry, agents).await?;
        self.edit(|catalog| catalog.upsert(entries(agents))).await
    }

    /// Takes `names` off the registry, and then off the catalog, all at once.
    ///
    /// In this order, because whoever else serves one of them lists it anew when it misses it in
    /// the catalog.
    pub(crate) async fn remove(&self, names: &[AgentName]) -> Result<()> {
        registry::delete_all(&self.registry, names).await?;
        self.edit(|catalog| Ok(catalog.remove(names.iter().map(AgentName::as_str))))
            .await
    }

    /// Changes the catalog, and knows the outcome at once.
    async fn edit(
        &self,
        change: impl FnMut(&mut CatalogDocument) -> serde_json::Result<bool>,
    ) -> Result<()> {
        let known = self.cache.snapshot().await;
        let written = writer::edit(&self.catalog, known, change).await?;
        if let Some(written) = written {
            self.cache.apply(written);
        }
        Ok(())
    }

    /// Refuses contracts that the server could not carry, before anything is written.
    pub(crate) fn check_sizes(&self, agents: &[Registration]) -> Result<()> {
        let max_payload = self.catalog.connection().client.max_payload();
        agents
            .iter()
            .try_for_each(|agent| agent.check_size(max_payload))
    }

    /// Those of `names` that the registry has no contract of.
    pub(crate) async fn without_contract(&self, names: &[AgentName]) -> Result<Vec<AgentName>> {
        registry::missing(&self.registry, names).await
    }
}

fn entries(agents: &[Registration]) -> impl Iterator<Item = CatalogEntry> {
    agents.iter().map(|agent| agent.entry.clone())
}

fn parse_catalog(value: &[u8]) -> Result<CatalogDocument> {
    CatalogDocument::parse(value).map_err(|error| {
        Error::raised(
            ErrorCode::ConnectionFailed,
            format!(
                "the catalog of this mesh is not a JSON array ({error}); some peer overwrote \
                 key '{CATALOG_KEY}' of bucket '{CATALOG}'"
            ),
        )
        .with_source(error)
    })
}

pub(crate) fn not_found(name: &AgentName) -> Error {
    Error::raised(
        ErrorCode::NotFound,
        format!("there is no agent '{name}' on this mesh"),
    )
    .with_agent(name)
}
