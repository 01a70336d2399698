//! Asking for agents: all of them, or those that pass a filter.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{AgentName, CatalogEntry, CatalogFilter};

use super::Client;
use crate::catalog::{CatalogChanges, Contract};
use crate::error::Result;

/// A question to the catalog, asked when it is awaited; made by [`Client::catalog`], which gives
/// [`CatalogEntry`]s, and by [`Client::discover`], which gives [`Contract`]s.
///
/// Without a filter it is about all agents; filters add up.
///
/// # Errors
///
/// Awaiting it fails with `connection_failed` when the catalog cannot be read or understood.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind.
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
#[must_use = "a question is asked when it is awaited"]
pub struct Query<T> {
    client: Client,
    filter: CatalogFilter,
    fresh: bool,
    answer: PhantomData<fn() -> T>,
}

impl<T> Query<T> {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            filter: CatalogFilter::default(),
            fresh: false,
            answer: PhantomData,
        }
    }

    /// Only agents whose name is `channel` or lies below it.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.filter = self.filter.channel(channel);
        self
    }

    /// Only agents that have `tag`, besides those asked for before.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.filter = self.filter.tag(tag);
        self
    }

    /// Only agents that have all of `tags`.
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// Only agents that answer requests, or only those that do not.
    pub fn invocable(mut self, invocable: bool) -> Self {
        self.filter = self.filter.invocable(invocable);
        self
    }

    /// Only agents that give many values, or only those that do not.
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.filter = self.filter.streaming(streaming);
        self
    }

    /// Only agents that pass `filter`, instead of those asked for before.
    pub fn filter(mut self, filter: CatalogFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Asks the server, instead of what this process has heard of it by now. Rarely of use: an agent
    /// is heard of within milliseconds, and those of this process at once.
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    async fn entries(&self) -> Result<Vec<Arc<CatalogEntry>>> {
        let directory = &self.client.session().directory;
        let snapshot = if self.fresh {
            directory.read_snapshot().await?
        } else {
            directory.snapshot().await?
        };
        let entries = snapshot.entries().iter();
        let wanted = entries.filter(|entry| self.filter.matches(entry));
        Ok(wanted.cloned().collect())
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
    /// What happens to the agents that are asked for: first those there are, as added, then every
    /// change. Begins at once, and never fails: while the catalog cannot be heard of, nothing changes.
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
