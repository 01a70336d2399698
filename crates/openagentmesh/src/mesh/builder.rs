//! Connecting to a mesh with options.

use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::InstanceId;

use super::AgentMesh;
use crate::error::Result;
use crate::transport::{Endpoint, dial, redact_credentials};

/// How to connect to a mesh; made by [`AgentMesh::builder`].
///
/// ```no_run
/// # async fn example() -> openagentmesh::Result<()> {
/// use openagentmesh::AgentMesh;
///
/// let mesh = AgentMesh::builder()
///     .url("tls://mesh.example.com:4222")
///     .credentials("agent.creds")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `connect` is awaited"]
pub struct MeshBuilder {
    url: Option<String>,
    credentials: Option<PathBuf>,
    grace: Option<Duration>,
}

impl MeshBuilder {
    /// The server's URL, or several of one cluster with commas between them. Without it the
    /// environment names the mesh, as [`Endpoint`] tells.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// A NATS credentials file. Without it the environment may name one.
    pub fn credentials(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Some(path.into());
        self
    }

    /// How long running requests may take to finish at shutdown: 10 s if nothing is given.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Connects.
    ///
    /// A lost connection heals by itself later on; only this first one has to succeed.
    ///
    /// # Errors
    ///
    /// `connection_failed` when nothing answers, which takes less than a second, or when what
    /// answers is no NATS server; `connection_denied` when the credentials are missing or wrong;
    /// `invalid_input` when the URL or `.oam-url` cannot be understood.
    ///
    /// Cancel-safe: dropping the future leaves nothing behind.
    pub async fn connect(self) -> Result<AgentMesh> {
        self.connecting().await
    }

    fn connecting(self) -> BoxFuture<'static, Result<AgentMesh>> {
        async move {
            let endpoint = Endpoint::resolve(self.url.as_deref(), self.credentials.as_deref())?;
            let instance_id = InstanceId::random();
            let connection = dial(&endpoint, &instance_id).await?;
            let grace = self.grace.unwrap_or(AgentMesh::DEFAULT_GRACE);
            Ok(AgentMesh::new(
                connection,
                instance_id,
                redact_credentials(&endpoint.url),
                grace,
            ))
        }
        .boxed()
    }
}
