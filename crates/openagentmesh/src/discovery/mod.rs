//! Finding agents: the catalog, the contracts, and keeping both up to date.

mod bucket;
mod catalog_writer;
mod registry;

use std::collections::HashSet;

use async_nats::jetstream::kv::{Operation, Watch};
use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY, REGISTRY};
use openagentmesh_protocol::{AgentName, CatalogDocument, CatalogEntry, Contract, ErrorCode};

use crate::connection::Connection;
use crate::error::{Error, Result};
use bucket::Bucket;

/// The mesh's catalog and registry.
pub(crate) struct Directory {
    connection: Connection,
    catalog: Bucket,
    registry: Bucket,
}

impl Directory {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            catalog: Bucket::new(connection.clone(), CATALOG),
            registry: Bucket::new(connection.clone(), REGISTRY),
            connection,
        }
    }

    /// The whole catalog, as it is now.
    pub(crate) async fn catalog(&self) -> Result<Vec<CatalogEntry>> {
        Ok(self.document().await?.entries().collect())
    }

    /// The names in the catalog, whether the rest of their entries is understood or not.
    pub(crate) async fn names(&self) -> Result<HashSet<String>> {
        Ok(self.document().await?.names().collect())
    }

    /// Whether the catalog lists `name`.
    pub(crate) async fn lists(&self, name: &AgentName) -> Result<bool> {
        Ok(self
            .document()
            .await?
            .names()
            .any(|listed| listed == name.as_str()))
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

    /// The names in the catalog, now and after each change.
    pub(crate) async fn watch_names(&self) -> Result<NamesWatch> {
        let store = self.catalog.open_or_create().await?;
        store
            .watch_with_history(CATALOG_KEY)
            .await
            .map(NamesWatch)
            .map_err(|error| bucket::failed("watch", CATALOG, error))
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

/// The names in the catalog, whenever it changes.
pub(crate) struct NamesWatch(Watch);

impl NamesWatch {
    /// The names after the next change; `None` when the watch has ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<HashSet<String>>> {
        use futures::StreamExt;
        Some(match self.0.next().await? {
            Ok(entry) if entry.operation == Operation::Put => {
                parse_catalog(&entry.value).map(|catalog| catalog.names().collect())
            }
            Ok(_) => Ok(HashSet::new()),
            Err(error) => Err(bucket::failed("watch", CATALOG, error)),
        })
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
