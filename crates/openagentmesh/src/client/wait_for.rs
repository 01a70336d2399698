//! Waiting until an agent is there.

use std::future::IntoFuture;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{AgentName, CatalogEntry, ErrorCode};

use super::Client;
use crate::catalog;
use crate::error::{Error, Result};
use crate::transport;

/// Waits until an agent is listed; made by [`Client::wait_for`].
///
/// # Errors
///
/// Awaiting it fails with `timeout` when the agent does not appear in time, `invalid_input` when the
/// name is no agent name, `connection_failed` when the connection is closed.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind.
#[must_use = "the agent is waited for when this is awaited"]
pub struct WaitFor {
    client: Client,
    name: Result<AgentName>,
    timeout: Option<Duration>,
}

impl WaitFor {
    pub(crate) fn new(client: &Client, name: &str) -> Self {
        Self {
            client: client.clone(),
            name: AgentName::new(name).map_err(Error::from),
            timeout: None,
        }
    }

    /// How long to wait: for ever if nothing is given, but never longer than the request that a
    /// handler serves.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn run(self) -> Result<CatalogEntry> {
        let name = self.name?;
        let appears = appears(&self.client, &name);
        let deadline = self.client.deadline_after(self.timeout);
        let Some(deadline) = deadline else {
            return appears.await;
        };
        match tokio::time::timeout_at(deadline.at, appears).await {
            Ok(entry) => entry,
            Err(_) => Err(Error::raised(
                ErrorCode::Timeout,
                format!("agent '{name}' did not appear on this mesh {deadline}"),
            )
            .with_agent(&name)),
        }
    }
}

async fn appears(client: &Client, name: &AgentName) -> Result<CatalogEntry> {
    let session = client.session();
    let mut known = session.directory.follow();
    let listed = known.wait_for(|known| {
        let listing = known.snapshot();
        listing.is_some_and(|listing| listing.get(name.as_str()).is_some())
    });
    let closed = session.connection.closed();
    let Some(Ok(listed)) = closed.run_until_cancelled(listed).await else {
        return Err(transport::closed("it was closed meanwhile"));
    };
    let entry = listed
        .snapshot()
        .and_then(|listing| listing.get(name.as_str()));
    match entry {
        Some(entry) => Ok(CatalogEntry::clone(entry)),
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
