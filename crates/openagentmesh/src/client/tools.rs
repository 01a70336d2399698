//! `tools`: agents as tools for a language model, selected from the catalog.

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{CatalogFilter, ErrorCode};

use super::handle::Client;
use super::query::Query;
use super::toolset::{Limits, Toolset};
use crate::catalog::Contract;
use crate::error::{Error, Result};

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
        ToolsQuery {
            client: self.clone(),
            query: self.discover(),
            agents: None,
            limits: Limits::default(),
        }
    }
}

/// A selection of agents as tools, run when it is awaited; made by [`Client::tools`].
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
pub struct ToolsQuery {
    client: Client,
    query: Query<Contract>,
    agents: Option<BTreeSet<String>>,
    limits: Limits,
}

impl ToolsQuery {
    /// Only agents whose name is `channel` or lies below it.
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.query = self.query.channel(channel);
        self
    }

    /// Only agents that have `tag`, in addition to the tags given before.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.query = self.query.tag(tag);
        self
    }

    /// Only agents that have all of `tags`.
    pub fn tags(self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        tags.into_iter().fold(self, Self::tag)
    }

    /// Only agents that match `filter`. Replaces the filters given before.
    pub fn filter(mut self, filter: CatalogFilter) -> Self {
        self.query = self.query.filter(filter);
        self
    }

    /// Only the agents with these full names, such as those that a model selected from the catalog.
    pub fn agents(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.agents = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the time that one call of a tool may take: by default 30 s, and 60 s for an agent that streams.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = Some(timeout);
        self
    }

    /// Sets the limit of the chunks that are collected of a stream, in bytes: 1 MiB by default. Beyond it
    /// the agent is cancelled, and the result says that it is incomplete.
    pub fn max_stream_bytes(mut self, bytes: usize) -> Self {
        self.limits.stream_bytes = bytes;
        self
    }

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

impl IntoFuture for ToolsQuery {
    type Output = Result<Toolset>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}
