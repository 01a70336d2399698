//! Reading and writing the catalog and the registry.

use std::sync::Arc;
use std::time::Duration;

use super::addition::Addition;
use super::cache::{CatalogCache, READ_INTERVAL};
use super::contract::Contract;
use super::contracts::Progress;
use super::follower::Follower;
use super::registration::Registration;
use super::similar::similar;
use super::snapshot::CatalogSnapshot;
use super::state::CacheState;
use super::stored::BucketState;
use super::writer::Read;
use super::{contracts, registry, writer};
use crate::error::{Error, Result};
use crate::store::{KvBucket, Mirror, OrderedConsumer, Start};
use crate::transport::Connection;
use openagentmesh_protocol::bucket::{CATALOG, REGISTRY};
use openagentmesh_protocol::{
    AgentName, Capabilities, CatalogDocument, CatalogEntry, ErrorCode, subject,
};

/// The size of a catalog, in bytes of its text, from which on a read from the server is avoided.
const MIN_LARGE_BYTES: usize = 1024 * 1024;

/// The catalog and the registry of the mesh, with a cache of the catalog.
pub(crate) struct Directory {
    catalog: Arc<KvBucket>,
    registry: Arc<KvBucket>,
    cache: CatalogCache,
}

impl Directory {
    pub(crate) fn new(connection: &Connection) -> Self {
        let catalog = Arc::new(KvBucket::new(connection.clone(), CATALOG));
        Self {
            cache: CatalogCache::new(Arc::clone(&catalog)),
            catalog,
            registry: Arc::new(KvBucket::new(connection.clone(), REGISTRY)),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.catalog.connection()
    }

    /// Starts to follow and to load the catalog, before the first query.
    pub(crate) fn start(&self) {
        self.cache.start();
    }

    /// The catalog with every write that was heard of, from the cache as far as it has them.
    pub(crate) async fn snapshot(&self) -> Result<Arc<CatalogSnapshot>> {
        match self.cache.state().await.snapshot() {
            Some(snapshot) => Ok(Arc::clone(snapshot)),
            None => self.read_snapshot().await,
        }
    }

    /// The catalog, read from the server. The answer of a read is several times as large as a large catalog: the cached
    /// one is returned if the server has no newer one.
    pub(crate) async fn read_snapshot(&self) -> Result<Arc<CatalogSnapshot>> {
        let cached = self.cache.current();
        if let CacheState::Ready(cached) = cached
            && !self.cache.is_stale()
            && cached.document().text_len() >= MIN_LARGE_BYTES
            && let Some(published) = cached.published()
        {
            let state = BucketState::read(&self.catalog).await?;
            if state.ends_with(cached.revision(), published) {
                return Ok(cached);
            }
        }
        self.cache.read().await
    }

    /// The error of the stored catalog, if it is malformed; from the cache if it is ready.
    pub(crate) async fn problem(&self) -> Result<Option<Error>> {
        let state = self.cache.state().await;
        if state.snapshot().is_some() || state.problem().is_some() {
            return Ok(state.problem());
        }
        let Read { document, .. } = writer::read(&self.catalog).await?;
        Ok(document.err())
    }

    /// The stored catalog, read from the server, or the problem of a value that is not one.
    pub(crate) async fn stored(&self) -> Result<Result<CatalogDocument>> {
        let Read { document, .. } = writer::read(&self.catalog).await?;
        Ok(document)
    }

    /// Whether agent `name` is in the catalog, from the cache unless a write that it lacks may concern the agent.
    pub(crate) async fn is_known(&self, name: &AgentName) -> Result<bool> {
        match self.cache.state_of(name).await.snapshot() {
            Some(snapshot) => Ok(snapshot.has(name)),
            None => Ok(self.read_snapshot().await?.has(name)),
        }
    }

    /// The catalog entry of `name`, read from the server.
    pub(crate) async fn entry(&self, name: &AgentName) -> Result<Option<CatalogEntry>> {
        Ok(self.read_snapshot().await?.get(name))
    }

    /// The capabilities of `name` for a check before a request: by the cache as it is, if it lists the agent.
    pub(crate) async fn capabilities(&self, name: &AgentName) -> Option<Capabilities> {
        let state = self.cache.state_before_request(name).await;
        state.snapshot()?.capabilities(name)
    }

    /// The capabilities of `name`, from the cache unless a write that it lacks may concern the agent.
    pub(crate) async fn listed_capabilities(&self, name: &AgentName) -> Option<Capabilities> {
        let state = self.cache.state_of(name).await;
        state.snapshot()?.capabilities(name)
    }

    /// The capabilities of `name` that its contract states; `None` without a valid contract.
    pub(crate) async fn contracted(&self, name: &AgentName) -> Option<Capabilities> {
        let contract = registry::get(&self.registry, name).await.ok()??;
        Some(contract.capabilities)
    }

    /// The catalog, now and after each change.
    pub(crate) fn follow(&self) -> Follower {
        self.cache.follow(READ_INTERVAL)
    }

    /// As [`follow`](Self::follow), with at most one read per `interval`.
    pub(crate) fn follow_at(&self, interval: Duration) -> Follower {
        self.cache.follow(interval)
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
        let cached = self.cache.current().snapshot().cloned();
        let listed = cached
            .iter()
            .flat_map(|cached| cached.document().listed_texts());
        let similar = similar(name, listed.map(|(name, _)| name));
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

    /// The contracts of `names`, in their order, without missing and malformed ones. `listed` is the number of all agents.
    pub(crate) async fn contracts(
        &self,
        names: &[AgentName],
        listed: usize,
        progress: Option<Progress>,
    ) -> Result<Vec<Contract>> {
        let documents = contracts::get_all(&self.registry, names, listed, progress).await?;
        Ok(documents.into_iter().map(Contract::new).collect())
    }

    /// Lists `agents` that this process did not serve before. On error, what was written is taken back.
    pub(crate) async fn add(self: &Arc<Self>, agents: &[Registration]) -> Result<Addition> {
        // Nothing is written if the catalog cannot be read, or has no room.
        let current = match self.cache.state().await.snapshot() {
            Some(cached) => cached.document().clone(),
            None => {
                let Read { document, .. } = writer::read(&self.catalog).await?;
                document.unwrap_or_default()
            }
        };
        writer::check_size(&self.catalog, &current, entries(agents))?;
        let (replaced, written) = registry::replace_all(&self.registry, agents).await;
        let mut addition = Addition::new(replaced);
        let listed = match written {
            Ok(()) => self.list(agents, &mut addition).await,
            Err(error) => Err(error),
        };
        match listed {
            Ok(()) => Ok(addition),
            Err(error) => {
                self.take_back(addition).await;
                Err(error)
            }
        }
    }

    /// Adds the entries of `agents` to the catalog, or waits until a monitor does.
    async fn list(&self, agents: &[Registration], addition: &mut Addition) -> Result<()> {
        if !self.is_listed_by_monitor() {
            let names = names(agents);
            let listed = self.edit(&names, |catalog| {
                addition.remember(catalog);
                catalog.upsert(entries(agents))
            });
            match listed.await {
                Err(error) if self.is_listed_by_monitor() => {
                    tracing::debug!(%error, "a monitor lists the agents of this process");
                    addition.forget_entries();
                }
                listed => return listed,
            }
        }
        self.await_listing(agents).await
    }

    /// Takes back the entries and contracts of `addition` that no other host has written since. If the connection is
    /// lost, that follows as soon as it is restored.
    pub(crate) async fn take_back(self: &Arc<Self>, mut addition: Addition) {
        let Err(error) = self.try_take_back(&mut addition).await else {
            return;
        };
        let connection = self.catalog.connection();
        if error.code() != &ErrorCode::ConnectionFailed || connection.closed().is_cancelled() {
            tracing::warn!(%error, "agents that failed to register may stay listed");
            return;
        }
        tracing::warn!(
            %error,
            "agents that failed to register stay listed until the connection is restored"
        );
        let (directory, closed) = (Arc::clone(self), connection.closed());
        let retrying = async move {
            let mut reconnections = directory.catalog.connection().watch_reconnections();
            while reconnections.changed().await.is_ok() {
                match directory.try_take_back(&mut addition).await {
                    Ok(()) => return,
                    Err(error) => tracing::debug!(%error, "agents stay listed"),
                }
            }
        };
        tokio::spawn(async move { closed.run_until_cancelled(retrying).await });
    }

    async fn try_take_back(&self, addition: &mut Addition) -> Result<()> {
        let names = registry::take_back_all(&self.registry, addition.replaced()).await?;
        addition.taken_back(names);
        if !addition.is_listed() {
            return Ok(());
        }
        let names = addition.names();
        let names: Vec<&AgentName> = names.iter().collect();
        self.edit(&names, |catalog| {
            catalog.set(addition.previous_entries(catalog))
        })
        .await
    }

    /// Writes the entries of `agents` into the catalog, whose contracts are in the registry, unless a monitor does.
    pub(crate) async fn relist(&self, agents: &[Registration]) -> Result<()> {
        if self.is_listed_by_monitor() {
            return Ok(());
        }
        let names = names(agents);
        let listed = self.edit(&names, |catalog| catalog.upsert(entries(agents)));
        match listed.await {
            Err(_) if self.is_listed_by_monitor() => Ok(()),
            listed => listed,
        }
    }

    /// The revisions of the contracts of `names` that are stored.
    pub(crate) async fn contract_revisions(
        &self,
        names: &[AgentName],
    ) -> Result<Vec<(AgentName, u64)>> {
        registry::revisions(&self.registry, names).await
    }

    /// Removes those of `contracts` from the registry that still have their revision.
    pub(crate) async fn remove_contracts(&self, contracts: Vec<(AgentName, u64)>) -> Result<()> {
        registry::delete_revisions(&self.registry, contracts).await
    }

    /// Removes `names` from the registry, then all at once from the catalog.
    ///
    /// In this order, because another host of the same agent lists it again when the agent disappears from
    /// the catalog.
    pub(crate) async fn remove(&self, names: &[AgentName]) -> Result<()> {
        registry::delete_all(&self.registry, names).await?;
        let changed: Vec<&AgentName> = names.iter().collect();
        self.edit(&changed, |catalog| {
            Ok(catalog.remove(names.iter().map(AgentName::as_str)))
        })
        .await
    }

    /// The catalog entries of all contracts in the registry, followed.
    pub(crate) async fn registered(&self) -> Result<Mirror<CatalogEntry>> {
        registry::entries(&self.registry).await
    }

    /// Adds and corrects `entries` in the catalog, and removes those of the agents that have `left`, in one write. Writes
    /// nothing if the catalog says so already.
    pub(crate) async fn keep_listed(
        &self,
        entries: &[CatalogEntry],
        left: &[AgentName],
    ) -> Result<()> {
        let cached = self.snapshot().await?;
        let changed = entries.iter().filter(|entry| !cached.says(entry));
        let changed: Vec<CatalogEntry> = changed.cloned().collect();
        let removed = left.iter().filter(|name| cached.has(name));
        let removed: Vec<&AgentName> = removed.collect();
        if changed.is_empty() && removed.is_empty() {
            return Ok(());
        }
        let named = changed
            .iter()
            .filter_map(|entry| AgentName::new(&entry.name).ok());
        let named: Vec<AgentName> = named.collect();
        let names: Vec<&AgentName> = named.iter().chain(removed.iter().copied()).collect();
        self.edit(&names, |catalog| {
            let is_removed = catalog.remove(removed.iter().map(|name| name.as_str()));
            Ok(catalog.upsert(changed.iter().cloned())? || is_removed)
        })
        .await
    }

    /// The listed entries and the revision, read from the server. A stored value that is not a catalog is
    /// [repaired](Self::repair) first.
    pub(crate) async fn listing(&self) -> Result<(CatalogDocument, u64)> {
        let Read {
            document, revision, ..
        } = writer::read(&self.catalog).await?;
        if let Ok(document) = document {
            return Ok((document, revision));
        }
        self.repair().await?;
        let Read {
            document, revision, ..
        } = writer::read(&self.catalog).await?;
        Ok((document?, revision))
    }

    /// Removes `names` from the catalog if it has `revision`, then their contracts that were not written since. Returns
    /// whether the catalog had the revision.
    pub(crate) async fn remove_at(&self, names: &[AgentName], revision: u64) -> Result<bool> {
        let current = writer::read(&self.catalog).await?;
        if current.revision != revision {
            return Ok(false);
        }
        let contracts = registry::revisions(&self.registry, names).await?;
        let removed = writer::remove_at(&self.catalog, current.document?, names, revision);
        let Some(written) = removed.await? else {
            return Ok(false);
        };
        self.cache.apply(written);
        registry::delete_revisions(&self.registry, contracts).await?;
        Ok(true)
    }

    /// Changes the entries of `names` in the catalog, and updates the cache with the result.
    async fn edit(
        &self,
        names: &[&AgentName],
        change: impl FnMut(&mut CatalogDocument) -> serde_json::Result<bool>,
    ) -> Result<()> {
        let cached = self.cache.state().await;
        let written = writer::edit(&self.catalog, &self.registry, cached, names, change).await?;
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

    /// Writes the contracts of `agents` that are missing, malformed, or not theirs. Returns how many there were. The
    /// contract of another host that has registered the same agent later stays.
    pub(crate) async fn restore_contracts(&self, agents: &[Registration]) -> Result<usize> {
        registry::restore_all(&self.registry, agents).await
    }

    /// Whether another host has registered `agent` later, with the `entry` that the catalog has.
    pub(crate) async fn is_replaced(
        &self,
        agent: &Registration,
        snapshot: &CatalogSnapshot,
    ) -> Result<bool> {
        let contract = registry::replacement(&self.registry, agent).await?;
        Ok(contract.is_some_and(|contract| snapshot.says(&contract.to_catalog_entry())))
    }

    /// The writes to the registry from now on, without the contracts.
    pub(crate) async fn watch_registry(
        &self,
    ) -> Result<OrderedConsumer<async_nats::jetstream::kv::Store>> {
        let filter = subject::kv(REGISTRY, ">");
        OrderedConsumer::open(Arc::clone(&self.registry), filter, Start::New, true).await
    }

    /// The state of the catalog's bucket at the server.
    pub(crate) async fn catalog_state(&self) -> Result<BucketState> {
        BucketState::read(&self.catalog).await
    }

    /// The state of the registry's bucket at the server.
    pub(crate) async fn registry_state(&self) -> Result<BucketState> {
        BucketState::read(&self.registry).await
    }

    /// Replaces a stored value that is not a catalog by one of the agents that have a contract. A message that ends connections
    /// is written again without its headers. Returns whether the stored message was replaced.
    pub(crate) async fn repair(&self) -> Result<bool> {
        /// The stored message may end the connection of this process, too, while it is being replaced.
        const MAX_ATTEMPTS: usize = 3;
        self.catalog.avoid_direct_gets();
        let mut attempts = 0;
        loop {
            if !writer::read(&self.catalog).await?.needs_repair() {
                // An earlier attempt has replaced it, although no answer arrived.
                return Ok(attempts > 0);
            }
            attempts += 1;
            match self.edit(&[], |_| Ok(false)).await {
                Err(error)
                    if error.code() == &ErrorCode::ConnectionFailed && attempts < MAX_ATTEMPTS => {}
                edited => return edited.map(|()| true),
            }
        }
    }
}

fn names(agents: &[Registration]) -> Vec<&AgentName> {
    agents.iter().map(|agent| &agent.name).collect()
}

fn entries(agents: &[Registration]) -> impl Iterator<Item = CatalogEntry> {
    agents.iter().map(|agent| agent.entry.clone())
}
