//! Finding agents: the catalog, the contracts, and keeping both up to date.

mod bucket;
mod cache;
mod catalog_writer;
mod registry;

use std::collections::HashSet;
use std::sync::Arc;

use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY, REGISTRY};
use openagentmesh_protocol::{
    AgentName, Capabilities, CatalogDocument, CatalogEntry, Contract, ErrorCode,
};
use tokio::sync::watch;

use crate::connection::Connection;
use crate::error::{Error, Result};
use bucket::Bucket;
use cache::CatalogCache;

pub(crate) use cache::Known;

/// The mesh's catalog and registry.
pub(crate) struct Directory {
    connection: Connection,
    catalog: Arc<Bucket>,
    registry: Bucket,
    cache: CatalogCache,
}

impl Directory {
    pub(crate) fn new(connection: Connection) -> Self {
        let catalog = Arc::new(Bucket::new(connection.clone(), CATALOG));
        Self {
            cache: CatalogCache::new(connection.clone(), Arc::clone(&catalog)),
            catalog,
            registry: Bucket::new(connection.clone(), REGISTRY),
            connection,
        }
    }

    /// The whole catalog, as it is now.
    pub(crate) async fn catalog(&self) -> Result<Vec<CatalogEntry>> {
        Ok(self.document().await?.entries().collect())
    }

    /// The catalog's entry of `name`, as it is now.
    pub(crate) async fn entry(&self, name: &AgentName) -> Result<Option<CatalogEntry>> {
        Ok(self.document().await?.get(name.as_str()))
    }

    /// What `name` can do, as far as this process knows.
    pub(crate) async fn capabilities(&self, name: &AgentName) -> Option<Capabilities> {
        self.cache.capabilities(name).await
    }

    /// What this process knows of the catalog, now and after each change.
    pub(crate) fn follow(&self) -> watch::Receiver<Known> {
        self.cache.follow()
    }

    async fn document(&self) -> Result<CatalogDocument> {
        match self.catalog.open().await? {
            Some(store) => Ok(catalog_writer::read(&store).await?.0),
            None => Ok(CatalogDocument::default()),
        }
    }

    /// The contract of `name`, from the registry.
    pub(crate) async fn contract(&self, name: &AgentName) -> Result<Contract> {
        let document = match self.registry.open().await? {
            Some(store) => registry::get(&store, name).await?,
            None => None,
        };
        document.ok_or_else(|| not_found(name))
    }

    /// Lists `contracts`: each in the registry, then all in the catalog at once. Nothing stays
    /// behind if that fails.
    pub(crate) async fn add(&self, contracts: &[Contract]) -> Result<()> {
        let registry = self.registry.open_or_create().await?;
        let catalog = self.catalog.open_or_create().await?;
        let entries: Vec<CatalogEntry> = contracts.iter().map(Contract::to_catalog_entry).collect();
        let mut listed_before = HashSet::new();
        let mut was_read = false;
        let added = async {
            registry::put_all(&registry, contracts).await?;
            catalog_writer::edit(&catalog, self.max_payload(), |catalog| {
                // A later round may find our own entries, written by one that seemed to fail.
                if !std::mem::replace(&mut was_read, true) {
                    listed_before = catalog.names().collect();
                }
                catalog.upsert(entries.iter().cloned())
            })
            .await
        }
        .await;
        if added.is_err() {
            let new: Vec<AgentName> = contracts
                .iter()
                .map(|contract| contract.name.clone())
                .filter(|name| !listed_before.contains(name.as_str()))
                .collect();
            if let Err(error) = self.remove(&new).await {
                tracing::warn!(%error, "agents whose registration failed may stay listed");
            }
        }
        added
    }

    /// Takes `names` off the registry, and then off the catalog, all at once.
    ///
    /// In this order, because whoever else serves one of them lists it anew when it misses it in
    /// the catalog.
    pub(crate) async fn remove(&self, names: &[AgentName]) -> Result<()> {
        if let Some(registry) = self.registry.open().await? {
            registry::delete_all(&registry, names).await?;
        }
        if let Some(catalog) = self.catalog.open().await? {
            catalog_writer::edit(&catalog, self.max_payload(), |catalog| {
                Ok(catalog.remove(names.iter().map(AgentName::as_str)))
            })
            .await?;
        }
        Ok(())
    }

    /// Refuses contracts that the server could not carry, before anything is written.
    pub(crate) fn check_sizes(&self, contracts: &[Contract]) -> Result<()> {
        registry::check_sizes(contracts, self.max_payload())
    }

    /// Those of `names` that the registry has no contract of.
    pub(crate) async fn without_contract(&self, names: &[AgentName]) -> Result<Vec<AgentName>> {
        let registry = self.registry.open_or_create().await?;
        registry::missing(&registry, names).await
    }

    fn max_payload(&self) -> usize {
        self.connection.client.max_payload()
    }
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
