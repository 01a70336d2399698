//! `tools`: agents as tools for a language model, selected from the catalog.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use openagentmesh_protocol::{CatalogFilter, ErrorCode};

use super::handle::Client;
use super::query::Query;
use super::toolset::{Limits, Toolset};
use crate::catalog::Contract;
use crate::error::{Error, Result};
use crate::util::deferred::Deferred;

impl Client {
    /// Selects agents as tools for a language model. Awaiting the [`ToolsQuery`] reads their contracts and
    /// returns a [`Toolset`].
    ///
    /// Agents that answer no requests are left out.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use openagentmesh::OpenAiApi;
    ///
    /// let tools = mesh.tools().channel("text").tag("fast").await?;
    /// let request = serde_json::json!({"tools": tools.openai(OpenAiApi::Chat)});
    /// // The model answers with the name of a tool and arguments as text.
    /// let result = tools.call("text_count", r#"{"text": "to be or not to be"}"#).await;
    /// println!("{result}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn tools(&self) -> ToolsQuery {
        let parts = Parts {
            client: self.clone(),
            query: self.discover(),
            agents: None,
            limits: Limits::default(),
        };
        ToolsQuery(Deferred::new(parts, |parts| parts.run().boxed()))
    }
}

/// A selection of agents as tools. A future: the catalog is read when it is first polled. Made by [`Client::tools`].
///
/// Without a filter it selects all agents that answer requests. Several filters must all match.
///
/// # Errors
///
/// Awaiting it fails with `connection_failed` when the catalog or the registry cannot be read, and with
/// `not_found` when one of the [`agents`](ToolsQuery::agents) is missing.
///
/// # Cancel safety
///
/// Dropping the future has no effect on the mesh.
#[must_use = "a query runs when it is awaited"]
pub struct ToolsQuery(Deferred<'static, Parts, Result<Toolset>>);

struct Parts {
    client: Client,
    query: Query<Contract>,
    agents: Option<BTreeSet<String>>,
    limits: Limits,
}

impl ToolsQuery {
    /// Only agents whose name is `channel` or lies below it.
    pub fn channel(self, channel: impl Into<String>) -> Self {
        self.select(|query| query.channel(channel))
    }

    /// Only agents that have `tag`, in addition to the tags given before.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.select(|query| query.tag(tag))
    }

    /// Only agents that have all of `tags`.
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// Only agents that match `filter`. Replaces the filters given before.
    pub fn filter(self, filter: CatalogFilter) -> Self {
        self.select(|query| query.filter(filter))
    }

    /// Only the agents with these full names, such as those that a model selected from the catalog.
    pub fn agents(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.0.change(|parts| parts.agents = Some(names));
        self
    }

    /// Sets the time that one call of a tool may take: by default 30 s, and 60 s for an agent that streams.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.limits.timeout = Some(timeout));
        self
    }

    /// Sets the limit of the chunks that are collected of a stream, in bytes: 1 MiB by default. Beyond it
    /// the agent is cancelled, and the result says that it is incomplete.
    pub fn max_stream_bytes(mut self, bytes: usize) -> Self {
        self.0.change(|parts| parts.limits.stream_bytes = bytes);
        self
    }

    /// The same selection with another query for the catalog.
    fn select(mut self, select: impl FnOnce(Query<Contract>) -> Query<Contract>) -> Self {
        self.0.change(|parts| {
            let query = std::mem::replace(&mut parts.query, parts.client.discover());
            parts.query = select(query);
        });
        self
    }
}

impl Parts {
    async fn run(self) -> Result<Toolset> {
        let mut contracts = self.query.invocable(true).await?;
        if let Some(agents) = &self.agents {
            contracts.retain(|contract| agents.contains(contract.name.as_str()));
            let is_found = |name: &&String| contracts.iter().any(|c| c.name.as_str() == *name);
            if let Some(missing) = agents.iter().find(|name| !is_found(name)) {
                let message = format!(
                    "agent '{missing}' not found among the agents that match and answer requests"
                );
                return Err(Error::raised(ErrorCode::NotFound, message));
            }
        }
        Ok(Toolset::new(self.client, contracts, self.limits))
    }
}

impl Future for ToolsQuery {
    type Output = Result<Toolset>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
