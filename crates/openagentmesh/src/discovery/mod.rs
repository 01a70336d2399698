//! Finding agents: the catalog, the contracts, and keeping both up to date.

mod bucket;
mod catalog_writer;
mod registry;

use async_nats::jetstream;
use bytes::Bytes;
use openagentmesh_protocol::{
    AgentName, CatalogDocument, CatalogEntry, Contract, ErrorCode, bucket as buckets,
};

use crate::error::{Error, Result};
use bucket::Bucket;

/// The mesh's catalog and registry.
pub(crate) struct Directory {
    client: async_nats::Client,
    catalog: Bucket,
    registry: Bucket,
}

impl Directory {
    pub(crate) fn new(client: async_nats::Client, jetstream: jetstream::Context) -> Self {
        Self {
            client,
            catalog: Bucket::new(jetstream.clone(), buckets::CATALOG),
            registry: Bucket::new(jetstream, buckets::REGISTRY),
        }
    }

    /// The whole catalog, as it is now.
    pub(crate) async fn catalog(&self) -> Result<Vec<CatalogEntry>> {
        let Some(store) = self.catalog.open().await? else {
            return Ok(Vec::new());
        };
        let value = store
            .get(buckets::CATALOG_KEY)
            .await
            .map_err(|error| bucket::failed("read", buckets::CATALOG, error))?;
        Ok(parse_catalog(value)?.entries().collect())
    }

    /// Whether the catalog lists `name`.
    pub(crate) async fn lists(&self, name: &AgentName) -> Result<bool> {
        Ok(self
            .catalog()
            .await?
            .iter()
            .any(|entry| entry.name == name.as_str()))
    }

    /// The contract of `name`, from the registry.
    pub(crate) async fn contract(&self, name: &AgentName) -> Result<Contract> {
        let document = match self.registry.open().await? {
            Some(store) => registry::get(store, name).await?,
            None => None,
        };
        document.ok_or_else(|| not_found(name))
    }

    /// Lists `contracts`: each in the registry, then all in the catalog at once. Nothing stays
    /// behind if that fails.
    pub(crate) async fn add(&self, contracts: &[Contract]) -> Result<()> {
        let registry = self.registry.open_or_create(&self.client).await?;
        let catalog = self.catalog.open_or_create(&self.client).await?;
        let entries: Vec<CatalogEntry> = contracts.iter().map(Contract::to_catalog_entry).collect();
        let listed = async {
            registry::put_all(registry, contracts).await?;
            catalog_writer::edit(catalog, self.client.max_payload(), |catalog| {
                catalog.upsert(entries.iter().cloned())
            })
            .await
        }
        .await;
        if listed.is_err() {
            self.withdraw(contracts).await;
        }
        listed
    }

    /// Takes `names` off the catalog, all at once, and then off the registry.
    pub(crate) async fn remove(&self, names: &[AgentName]) -> Result<()> {
        if let Some(catalog) = self.catalog.open().await? {
            catalog_writer::edit(catalog, self.client.max_payload(), |catalog| {
                Ok(catalog.remove(names.iter().map(AgentName::as_str)))
            })
            .await?;
        }
        if let Some(registry) = self.registry.open().await? {
            registry::delete_all(registry, names.iter()).await?;
        }
        Ok(())
    }

    /// Refuses contracts that the server could not carry, before anything is written.
    pub(crate) fn check_sizes(&self, contracts: &[Contract]) -> Result<()> {
        registry::check_sizes(contracts, self.client.max_payload())
    }

    /// Undoes a registration that failed. Contracts of agents that others list stay.
    async fn withdraw(&self, contracts: &[Contract]) {
        let undone = async {
            let listed = self.catalog().await?;
            let unlisted = contracts
                .iter()
                .map(|contract| &contract.name)
                .filter(|name| !listed.iter().any(|entry| entry.name == name.as_str()));
            match self.registry.open().await? {
                Some(registry) => registry::delete_all(registry, unlisted).await,
                None => Ok(()),
            }
        };
        if let Err(error) = undone.await {
            tracing::warn!(%error, "contracts of a failed registration stay in the registry");
        }
    }
}

fn parse_catalog(value: Option<Bytes>) -> Result<CatalogDocument> {
    CatalogDocument::parse(&value.unwrap_or_default()).map_err(|error| {
        Error::new(
            ErrorCode::InvalidInput,
            format!(
                "the catalog of this mesh is not a JSON array ({error}); some peer overwrote \
                 key '{}' of bucket '{}'",
                buckets::CATALOG_KEY,
                buckets::CATALOG
            ),
        )
        .with_source(error)
    })
}

pub(crate) fn not_found(name: &AgentName) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("there is no agent '{name}' on this mesh"),
    )
    .with_agent(name)
}
