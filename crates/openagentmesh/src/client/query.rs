//! `catalog` and `discover`: the agents of the mesh, filtered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, ready};
use futures::{FutureExt, TryFutureExt};
use openagentmesh_protocol::{AgentName, CatalogEntry, CatalogFilter};

use super::handle::Client;
use super::local_catalog;
use crate::catalog::{CatalogChanges, CatalogSnapshot, Contract, Progress};
use crate::error::{Error, Result};
use crate::transport;

/// The number of entries from which on a query reads them on a thread for blocking work.
const MIN_BLOCKING_ENTRIES: usize = 2_000;

impl Client {
    /// Queries the catalog, which has one entry for every agent on the mesh. Entries whose name is not a
    /// valid agent name, malformed ones, and those of more than 1 MiB are left out.
    ///
    /// Answered from the catalog cache of this process, which the query updates first if the process has heard of a
    /// change. Agents that this process registers are in it at once. See [`Query`].
    ///
    /// # Errors
    ///
    /// `connection_failed` when the catalog cannot be read; `storage_error` when it is malformed and this process has
    /// read no valid one before. Cancel-safe.
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

/// A query of the catalog. A future: the query runs when it is first polled. Made by [`Client::catalog`],
/// which returns [`CatalogEntry`]s, and by [`Client::discover`], which returns [`Contract`]s.
///
/// Without a filter it returns all agents. Several filters must all match. They must be given before the
/// first poll.
///
/// # Errors
///
/// Awaiting it fails with `connection_failed` when the catalog cannot be read, and with `storage_error` when it is
/// malformed and this process has read no valid one before; see [`problem`](Query::problem).
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
    selection: Selection,
    /// Receives the progress of reading contracts.
    progress: Option<Progress>,
    /// Set by the first poll.
    running: Option<BoxFuture<'static, Result<Vec<T>>>>,
}

/// The agents that a query selects.
struct Selection {
    client: Client,
    filter: CatalogFilter,
    fresh: bool,
}

impl<T> Query<T> {
    fn new(client: &Client) -> Self {
        Self {
            selection: Selection {
                client: client.clone(),
                filter: CatalogFilter::default(),
                fresh: false,
            },
            progress: None,
            running: None,
        }
    }

    /// Only agents whose name is `channel` or lies below it.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.selection.filter = self.selection.filter.channel(channel);
        self
    }

    /// Only agents that have `tag`, in addition to the tags given before.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.selection.filter = self.selection.filter.tag(tag);
        self
    }

    /// Only agents that have all of `tags`.
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// Only agents that serve requests, or only those that do not.
    pub fn invocable(mut self, invocable: bool) -> Self {
        self.selection.filter = self.selection.filter.invocable(invocable);
        self
    }

    /// Only agents that produce many values, or only those that do not.
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.selection.filter = self.selection.filter.streaming(streaming);
        self
    }

    /// Only agents that match `filter`. Replaces the filters given before.
    pub fn filter(mut self, filter: CatalogFilter) -> Self {
        self.selection.filter = filter;
        self
    }

    /// Reads the catalog from the server, whatever the cache has. Rarely needed: a process hears of a change within
    /// milliseconds, and agents of this process are in the cache at once.
    pub fn fresh(mut self) -> Self {
        self.selection.fresh = true;
        self
    }
}

impl Selection {
    /// The catalog that the query reads.
    fn snapshot(&self) -> impl Future<Output = Result<Arc<CatalogSnapshot>>> + Send + use<> {
        let (directory, fresh) = (Arc::clone(&self.client.session().directory), self.fresh);
        async move {
            if fresh {
                directory.read_snapshot().await
            } else {
                directory.snapshot().await
            }
        }
    }

    /// The entries that match, and the number of all.
    fn entries(
        &mut self,
    ) -> impl Future<Output = Result<(Vec<CatalogEntry>, usize)>> + Send + use<> {
        let (snapshot, filter) = (self.snapshot(), std::mem::take(&mut self.filter));
        async move {
            let snapshot = snapshot.await?;
            let all = snapshot.document().len();
            if all < MIN_BLOCKING_ENTRIES {
                return Ok((snapshot.document().matching(&filter).collect(), all));
            }
            let reading = move || snapshot.document().matching(&filter).collect();
            let entries = tokio::task::spawn_blocking(reading).await;
            let entries = entries.map_err(|error| transport::closed(error.to_string()))?;
            Ok((entries, all))
        }
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
        if self.selection.client.session().answers.is_some() {
            return Ok(0);
        }
        let snapshot = self.selection.snapshot().await?;
        Ok(snapshot.document().count_invalid())
    }

    /// The error of the stored catalog, if it is malformed: another peer has overwritten it. Queries return the last
    /// valid catalog that this process has read until a host has repaired the stored one, which takes a few seconds.
    /// Filters do not apply.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the catalog cannot be read. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// if let Some(problem) = mesh.catalog().problem().await? {
    ///     println!("the agents below may be outdated: {problem}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn problem(self) -> Result<Option<Error>> {
        if self.selection.client.session().answers.is_some() {
            return Ok(None);
        }
        self.selection.client.session().directory.problem().await
    }

    /// Watches the agents that match: first the present ones, as added, then every change. Starts at once and
    /// never fails: while the catalog cannot be read, there are no changes. While the stream is polled, the catalog is
    /// read after a change: at most every 250 ms, and always after the last one.
    pub fn watch(self) -> CatalogChanges {
        let Selection { client, filter, .. } = self.selection;
        if let Some(entries) = local_catalog::entries(&client, &filter) {
            return CatalogChanges::present(entries);
        }
        let session = client.session();
        let closed = session.connection.closed();
        CatalogChanges::new(session.directory.follow(), filter, closed)
    }
}

impl Query<Contract> {
    /// Runs `function` with the number of contracts that were read so far, and the number of all that match: after each
    /// one, up to both being equal. A contract that is missing or malformed counts, too. If a server of
    /// a cluster turns out to lack contracts, the count begins again. The function must not block.
    ///
    /// Many contracts come in a few requests, the others in concurrent ones. In flight, they take bounded memory.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let contracts = mesh
    ///     .discover()
    ///     .on_progress(|done, total| eprint!("\r{done} of {total} contracts"))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(mut self, function: impl FnMut(usize, usize) + Send + 'static) -> Self {
        self.progress = Some(Box::new(function));
        self
    }
}

impl Future for Query<CatalogEntry> {
    type Output = Result<Vec<CatalogEntry>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            selection, running, ..
        } = &mut *self;
        let running = running.get_or_insert_with(|| {
            match local_catalog::entries(&selection.client, &selection.filter) {
                Some(entries) => ready(Ok(entries)).boxed(),
                None => selection.entries().map_ok(|(entries, _)| entries).boxed(),
            }
        });
        running.poll_unpin(cx)
    }
}

impl Future for Query<Contract> {
    type Output = Result<Vec<Contract>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            selection,
            progress,
            running,
        } = &mut *self;
        let running = running.get_or_insert_with(|| {
            if let Some(contracts) = local_catalog::contracts(&selection.client, &selection.filter)
            {
                if let Some(progress) = progress {
                    (1..=contracts.len()).for_each(|done| progress(done, contracts.len()));
                }
                return ready(Ok(contracts)).boxed();
            }
            let directory = Arc::clone(&selection.client.session().directory);
            let (entries, progress) = (selection.entries(), progress.take());
            let contracts = async move {
                let (entries, listed) = entries.await?;
                let names = entries
                    .iter()
                    .filter_map(|entry| AgentName::new(entry.name.as_str()).ok());
                let names: Vec<AgentName> = names.collect();
                directory.contracts(&names, listed, progress).await
            };
            contracts.boxed()
        });
        running.poll_unpin(cx)
    }
}
