//! `wait_for`: waiting until an agent is in the catalog.

use std::future::IntoFuture;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{AgentName, CatalogEntry, ErrorCode};

use super::handle::Client;
use crate::catalog::{self, CacheState};
use crate::error::{Error, Result};
use crate::transport;

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
        WaitFor {
            client: self.clone(),
            name: AgentName::new(name.as_ref()).map_err(Error::from),
            timeout: None,
        }
    }
}

/// Waits until an agent is in the catalog; made by [`Client::wait_for`].
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
pub struct WaitFor {
    client: Client,
    name: Result<AgentName>,
    timeout: Option<Duration>,
}

impl WaitFor {
    /// Sets the time to wait: no limit by default. The deadline of the request that a handler serves bounds it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn run(self) -> Result<CatalogEntry> {
        let name = self.name?;
        let entry = listed_entry(&self.client, &name);
        let deadline = self.client.deadline_after(self.timeout);
        let Some(deadline) = deadline else {
            return entry.await;
        };
        match tokio::time::timeout_at(deadline.at, entry).await {
            Ok(entry) => entry,
            Err(_) => Err(Error::raised(
                ErrorCode::Timeout,
                format!(
                    "agent '{name}' did not appear on this mesh {deadline}{}",
                    self.client.session().connection.lost()
                ),
            )
            .with_agent(&name)),
        }
    }
}

/// The entry of agent `name`, as soon as the catalog has one.
async fn listed_entry(client: &Client, name: &AgentName) -> Result<CatalogEntry> {
    let session = client.session();
    let mut known = session.directory.follow();
    let listed = known.wait_for(|known| {
        let snapshot = known.snapshot();
        snapshot.is_some_and(|snapshot| snapshot.get(name.as_str()).is_some())
            || matches!(known, CacheState::Unavailable { is_denied: true })
    });
    let closed = session.connection.closed();
    let snapshot = match closed.run_until_cancelled(listed).await {
        Some(Ok(listed)) => listed.snapshot().cloned(),
        _ => return Err(transport::closed("the wait was not over")),
    };
    let entry = match snapshot {
        Some(snapshot) => snapshot.get(name.as_str()).cloned(),
        // The server denies the catalog: reading it has the error.
        None => session.directory.entry(name).await?,
    };
    match entry {
        Some(entry) => Ok(CatalogEntry::clone(&entry)),
        None => Err(catalog::not_found(name)),
    }
}

impl IntoFuture for WaitFor {
    type Output = Result<CatalogEntry>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}
