//! `wait_for`: waiting until an agent is in the catalog.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use openagentmesh_protocol::{AgentName, CatalogEntry, ErrorCode};

use super::handle::Client;
use super::local_catalog;
use crate::catalog::{CacheState, CatalogSnapshot};
use crate::error::{Error, Result};
use crate::transport;
use crate::util::deferred::Deferred;

impl Client {
    /// Waits until agent `name` is in the catalog, and returns its entry. See [`WaitFor`].
    ///
    /// # Errors
    ///
    /// Those of [`WaitFor`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use std::time::Duration;
    ///
    /// mesh.wait_for("echo").timeout(Duration::from_secs(10)).await?;
    /// let reply: String = mesh.call("echo", "hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for(&self, name: impl AsRef<str>) -> WaitFor {
        let parts = Parts {
            client: self.clone(),
            name: AgentName::new(name.as_ref()).map_err(Error::from),
            timeout: None,
        };
        WaitFor(Deferred::new(parts, |parts| parts.run().boxed()))
    }
}

/// A future that waits until an agent is in the catalog; made by [`Client::wait_for`]. The timeout must be
/// given before the first poll.
///
/// # Errors
///
/// Awaiting it fails with `timeout` when the agent does not appear in time, `invalid_input` when the agent
/// name is invalid, `connection_failed` when the connection is closed, `connection_denied` when the server does
/// not permit this user to read the catalog.
///
/// # Cancel safety
///
/// Dropping the future has no effect on the mesh.
#[must_use = "the wait starts when it is awaited"]
pub struct WaitFor(Deferred<'static, Parts, Result<CatalogEntry>>);

struct Parts {
    client: Client,
    name: Result<AgentName>,
    timeout: Option<Duration>,
}

impl WaitFor {
    /// Sets the time to wait: no limit by default. The deadline of the request that a handler serves bounds it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.timeout = Some(timeout));
        self
    }
}

impl Parts {
    async fn run(self) -> Result<CatalogEntry> {
        let name = self.name?;
        if let Some(contract) = local_catalog::contract(&self.client, &name) {
            // No other agent appears in a detached context.
            return Ok(contract?.to_catalog_entry());
        }
        let entry = listed_entry(&self.client, &name);
        let deadline = self.client.deadline_after(self.timeout);
        let Some(deadline) = deadline else {
            return entry.await;
        };
        match tokio::time::timeout_at(deadline.at, entry).await {
            Ok(entry) => entry,
            Err(_) => {
                let connection = &self.client.session().connection;
                let message = format!(
                    "agent '{name}' did not appear on this mesh {deadline}{}",
                    connection.lost()
                );
                let error = Error::raised(ErrorCode::Timeout, message);
                Err(connection.with_loss(error).with_agent(&name))
            }
        }
    }
}

/// The entry of agent `name`, as soon as the catalog has one.
async fn listed_entry(client: &Client, name: &AgentName) -> Result<CatalogEntry> {
    let session = client.session();
    let mut follower = session.directory.follow();
    let listed = async {
        loop {
            let known = follower.current();
            let snapshot = known.snapshot().cloned();
            let is_listed = |snapshot: &CatalogSnapshot| snapshot.capabilities(name).is_some();
            if snapshot.as_deref().is_some_and(is_listed)
                || matches!(known, CacheState::Unavailable { is_denied: true })
            {
                return snapshot;
            }
            // Writes that change other agents are not read.
            follower
                .changed_for(|changed| changed == name.as_str())
                .await;
        }
    };
    let closed = session.connection.closed();
    let snapshot = match closed.run_until_cancelled(listed).await {
        Some(snapshot) => snapshot,
        None => return Err(transport::closed("the wait was not over")),
    };
    let entry = match snapshot {
        Some(snapshot) => snapshot.get(name),
        // The server denies the catalog: reading it has the error.
        None => session.directory.entry(name).await?,
    };
    match entry {
        Some(entry) => Ok(entry),
        None => Err(session.directory.not_found(name)),
    }
}

impl Future for WaitFor {
    type Output = Result<CatalogEntry>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
