//! Connecting to a mesh with options.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::InstanceId;

use super::AgentMesh;
use crate::error::Result;
use crate::telemetry::Interceptor;
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
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `connect` is awaited"]
pub struct MeshBuilder {
    url: Option<String>,
    credentials: Option<PathBuf>,
    grace: Option<Duration>,
    host_interceptors: Vec<Arc<dyn Interceptor>>,
    client_interceptors: Vec<Arc<dyn Interceptor>>,
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

    /// Runs `interceptor` around every request that this process serves, after those added before.
    pub fn intercept_host(mut self, interceptor: impl Interceptor) -> Self {
        self.host_interceptors.push(Arc::new(interceptor));
        self
    }

    /// Runs `interceptor` around every request that this process sends, after those added before.
    pub fn intercept_client(mut self, interceptor: impl Interceptor) -> Self {
        self.client_interceptors.push(Arc::new(interceptor));
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
                &self.host_interceptors,
                &self.client_interceptors,
            ))
        }
        .boxed()
    }
}

impl std::fmt::Debug for MeshBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeshBuilder")
            .field("url", &self.url.as_deref().map(redact_credentials))
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
