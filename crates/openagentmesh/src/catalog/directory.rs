//! Reading and writing the catalog and the registry.

use std::sync::Arc;

use openagentmesh_protocol::bucket::{CATALOG, REGISTRY};
use openagentmesh_protocol::{AgentName, Capabilities, CatalogDocument, CatalogEntry, ErrorCode};
use tokio::sync::watch;

use super::cache::{CacheState, CatalogCache};
use super::contract::Contract;
use super::registration::Registration;
use super::similar::similar;
use super::snapshot::CatalogSnapshot;
use super::{registry, writer};
use crate::error::{Error, Result};
use crate::store::KvBucket;
use crate::transport::Connection;

/// The catalog and the registry of the mesh, with a cache of the catalog.
pub(crate) struct Directory {
    catalog: Arc<KvBucket>,
    registry: KvBucket,
    cache: CatalogCache,
}

impl Directory {
    pub(crate) fn new(connection: &Connection) -> Self {
        let catalog = Arc::new(KvBucket::new(connection.clone(), CATALOG));
        Self {
            cache: CatalogCache::new(Arc::clone(&catalog)),
            catalog,
            registry: KvBucket::new(connection.clone(), REGISTRY),
        }
    }

    /// The cached catalog; read from the server if the cache is not ready.
    pub(crate) async fn snapshot(&self) -> Result<Arc<CatalogSnapshot>> {
        match self.cache.snapshot().await {
            Some(snapshot) => Ok(snapshot),
            None => self.read_snapshot().await,
        }
    }

    /// The catalog, read from the server.
    pub(crate) async fn read_snapshot(&self) -> Result<Arc<CatalogSnapshot>> {
        let (document, revision) = writer::read(&self.catalog).await?;
        Ok(Arc::new(CatalogSnapshot::new(document, revision)))
    }

    /// The catalog entry of `name`, from the cache if it is ready.
    pub(crate) async fn known_entry(&self, name: &AgentName) -> Result<Option<Arc<CatalogEntry>>> {
        Ok(self.snapshot().await?.get(name.as_str()).cloned())
    }

    /// The catalog entry of `name`, read from the server.
    pub(crate) async fn entry(&self, name: &AgentName) -> Result<Option<Arc<CatalogEntry>>> {
        Ok(self.read_snapshot().await?.get(name.as_str()).cloned())
    }

    /// The capabilities of `name` according to the cache.
    pub(crate) async fn capabilities(&self, name: &AgentName) -> Option<Capabilities> {
        let snapshot = self.cache.snapshot().await?;
        Some(snapshot.get(name.as_str())?.capabilities())
    }

    /// The cache, now and after each change.
    pub(crate) fn follow(&self) -> watch::Receiver<CacheState> {
        self.cache.follow()
    }

    /// The contract of `name`, from the registry.
    pub(crate) async fn contract(&self, name: &AgentName) -> Result<Contract> {
        let document = registry::get(&self.registry, name).await?;
        document
            .map(Contract::new)
            .ok_or_else(|| self.not_found(name))
    }

    /// The error for an agent that is not listed. It names the agents of the cached catalog whose names are
    /// similar.
    pub(crate) fn not_found(&self, name: &AgentName) -> Error {
        let cached = self.cache.follow().borrow().snapshot().cloned();
        let entries = cached.iter().flat_map(|cached| cached.entries());
        let similar = similar(name, entries.map(|entry| entry.name.as_str()));
        let problem = format!("agent '{name}' not found on this mesh");
        if similar.is_empty() {
            return Error::raised(ErrorCode::NotFound, problem).with_agent(name);
        }
        let suggested = similar.join("', '");
        Error::raised(
            ErrorCode::NotFound,
            format!("{problem}; similar names: '{suggested}'"),
        )
        .with_detail("similar", similar)
        .with_agent(name)
    }

    /// The contracts of `names`, in their order, without missing and malformed ones.
    pub(crate) async fn contracts(&self, names: &[AgentName]) -> Result<Vec<Contract>> {
        let documents = registry::get_all(&self.registry, names).await?;
        Ok(documents.into_iter().map(Contract::new).collect())
    }

    /// Lists `agents` that this process did not serve before. On error, they are removed again.
    pub(crate) async fn add(&self, agents: &[Registration]) -> Result<()> {
        // Agents that other hosts serve stay listed.
        let cached = self.cache.snapshot().await;
        let is_new = |name: &AgentName| cached.as_ref().is_none_or(|cached| !cached.lists(name));
        let names = agents.iter().map(|agent| agent.name.clone());
        let new: Vec<AgentName> = names.filter(is_new).collect();
        if let Some(cached) = &cached {
            writer::check_size(&self.catalog, cached, entries(agents))?;
        }
        let added = self.list(agents).await;
        if added.is_err()
            && let Err(error) = self.remove(&new).await
        {
            tracing::warn!(%error, "agents that failed to register may stay listed");
        }
        added
    }

    /// Lists `agents`: each in the registry, then all in the catalog at once.
    pub(crate) async fn list(&self, agents: &[Registration]) -> Result<()> {
        registry::put_all(&self.registry, agents).await?;
        self.edit(|catalog| catalog.upsert(entries(agents))).await
    }

    /// Removes `names` from the registry, then all at once from the catalog.
    ///
    /// In this order, because another host of the same agent lists it again when the agent disappears from
    /// the catalog.
    pub(crate) async fn remove(&self, names: &[AgentName]) -> Result<()> {
        registry::delete_all(&self.registry, names).await?;
        self.edit(|catalog| Ok(catalog.remove(names.iter().map(AgentName::as_str))))
            .await
    }

    /// Changes the catalog, and updates the cache with the result.
    async fn edit(
        &self,
        change: impl FnMut(&mut CatalogDocument) -> serde_json::Result<bool>,
    ) -> Result<()> {
        let cached = self.cache.snapshot().await;
        let written = writer::edit(&self.catalog, cached, change).await?;
        if let Some(written) = written {
            self.cache.apply(written);
        }
        Ok(())
    }

    /// Refuses contracts that exceed the server's limit, before anything is written.
    pub(crate) fn check_sizes(&self, agents: &[Registration]) -> Result<()> {
        let max_payload = self.catalog.connection().max_payload();
        agents
            .iter()
            .try_for_each(|agent| agent.check_size(max_payload))
    }

    /// Those of `names` without a contract in the registry.
    pub(crate) async fn without_contract(&self, names: &[AgentName]) -> Result<Vec<AgentName>> {
        registry::missing(&self.registry, names).await
    }
}

fn entries(agents: &[Registration]) -> impl Iterator<Item = CatalogEntry> {
    agents.iter().map(|agent| agent.entry.clone())
}
