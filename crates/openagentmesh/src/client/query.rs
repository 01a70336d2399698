//! `catalog` and `discover`: the agents of the mesh, filtered.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{AgentName, CatalogEntry, CatalogFilter};

use super::handle::Client;
use crate::catalog::{CatalogChanges, CatalogSnapshot, Contract};
use crate::error::Result;

impl Client {
    /// Queries the catalog, which has one entry for every agent on the mesh. Entries whose name is not a
    /// valid agent name are left out.
    ///
    /// Answered from the catalog cache of this process. A watch keeps the cache current from the time the
    /// process connects; agents that this process registers are in it at once. See [`Query`].
    ///
    /// # Errors
    ///
    /// `connection_failed` when the catalog cannot be read or understood. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// for agent in mesh.catalog().channel("nlp").tag("text").await? {
    ///     println!("{}: {}", agent.name, agent.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn catalog(&self) -> Query<CatalogEntry> {
        Query::new(self)
    }

    /// Queries the contracts of agents, in the order of the catalog. An agent whose contract is missing or
    /// malformed is left out.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the catalog or the registry cannot be read. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tools = Vec::new();
    /// for contract in mesh.discover().tag("text").invocable(true).await? {
    ///     tools.push(contract.to_anthropic_tool()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn discover(&self) -> Query<Contract> {
        Query::new(self)
    }
}

/// A query of the catalog, run when it is awaited; made by [`Client::catalog`], which returns
/// [`CatalogEntry`]s, and by [`Client::discover`], which returns [`Contract`]s.
///
/// Without a filter it returns all agents. Several filters must all match.
///
/// # Errors
///
/// Awaiting it fails with `connection_failed` when the catalog cannot be read or understood.
///
/// # Cancel safety
///
/// Dropping the future has no effect on the mesh.
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
/// for agent in mesh.catalog().channel("nlp").tag("text").streaming(false).await? {
///     println!("{}: {}", agent.name, agent.description);
/// }
/// for contract in mesh.discover().invocable(true).await? {
///     println!("{}", contract.to_anthropic_tool().unwrap());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a query runs when it is awaited"]
pub struct Query<T> {
    client: Client,
    filter: CatalogFilter,
    fresh: bool,
    item: PhantomData<fn() -> T>,
}

impl<T> Query<T> {
    fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            filter: CatalogFilter::default(),
            fresh: false,
            item: PhantomData,
        }
    }

    /// Only agents whose name is `channel` or lies below it.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.filter = self.filter.channel(channel);
        self
    }

    /// Only agents that have `tag`, in addition to the tags given before.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.filter = self.filter.tag(tag);
        self
    }

    /// Only agents that have all of `tags`.
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// Only agents that serve requests, or only those that do not.
    pub fn invocable(mut self, invocable: bool) -> Self {
        self.filter = self.filter.invocable(invocable);
        self
    }

    /// Only agents that produce many values, or only those that do not.
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.filter = self.filter.streaming(streaming);
        self
    }

    /// Only agents that match `filter`. Replaces the filters given before.
    pub fn filter(mut self, filter: CatalogFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Reads the catalog from the server instead of the cache. Rarely needed: the cache is milliseconds old, and
    /// agents of this process are in it at once.
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    async fn snapshot(&self) -> Result<Arc<CatalogSnapshot>> {
        let directory = &self.client.session().directory;
        if self.fresh {
            directory.read_snapshot().await
        } else {
            directory.snapshot().await
        }
    }

    async fn entries(&self) -> Result<Vec<Arc<CatalogEntry>>> {
        let snapshot = self.snapshot().await?;
        let entries = snapshot.entries().iter();
        let matching = entries.filter(|entry| self.filter.matches(entry));
        Ok(matching.cloned().collect())
    }

    async fn contracts(&self) -> Result<Vec<Contract>> {
        let entries = self.entries().await?;
        let names = entries
            .iter()
            .filter_map(|entry| AgentName::new(entry.name.as_str()).ok());
        let names: Vec<AgentName> = names.collect();
        self.client.session().directory.contracts(&names).await
    }
}

impl Query<CatalogEntry> {
    /// The number of catalog entries that no query returns: malformed ones, and those whose name is not
    /// a valid agent name. Filters do not apply to them.
    ///
    /// # Errors
    ///
    /// Those of the query. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let invalid = mesh.catalog().count_invalid().await?;
    /// println!("{invalid} entries of the catalog are invalid");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn count_invalid(self) -> Result<usize> {
        Ok(self.snapshot().await?.invalid())
    }

    /// Watches the agents that match: first the present ones, as added, then every change. Starts at once and
    /// never fails: while the catalog cannot be read, there are no changes.
    pub fn watch(self) -> CatalogChanges {
        let session = self.client.session();
        let closed = session.connection.closed();
        CatalogChanges::new(session.directory.follow(), self.filter, closed)
    }
}

impl IntoFuture for Query<CatalogEntry> {
    type Output = Result<Vec<CatalogEntry>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let entries = self.entries().await?;
            Ok(entries
                .iter()
                .map(|entry| CatalogEntry::clone(entry))
                .collect())
        }
        .boxed()
    }
}

impl IntoFuture for Query<Contract> {
    type Output = Result<Vec<Contract>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.contracts().await }.boxed()
    }
}
