//! The mesh as a program holds it.

mod builder;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::bucket::{ARTIFACTS, CONTEXT};
use openagentmesh_protocol::{AgentName, ErrorCode, InstanceId};

use crate::agent::Agent;
use crate::catalog::Directory;
use crate::client::{Client, request_template};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::session::Session;
use crate::store::{Bucket, SharedBucket};
use crate::telemetry::{Interceptor, Interceptors, trace};
use crate::transport::{Connection, ConnectionGuard};

pub use builder::MeshBuilder;
pub use signals::shutdown_signal;

/// How long a shutdown may take once a second signal has come.
const IMPATIENCE: Duration = Duration::from_secs(3);

/// A connection to a mesh: serves agents, and calls them as the [`Client`] that it is.
///
/// Cloning it is cheap and gives another handle of the same connection. When the last handle is
/// dropped, the agents of this process are no longer served; [`run`](AgentMesh::run) and
/// [`shutdown`](AgentMesh::shutdown) also finish what they are doing and take them off the
/// catalog.
///
/// A handler that calls other agents does so through its [`Context`](crate::Context). One that
/// captures a handle keeps it alive as long as its agent is served: such a process ends with `run` or
/// `shutdown`, not with a drop.
///
/// ```no_run
/// use openagentmesh::{AgentMesh, AgentSpec};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> openagentmesh::Result<()> {
/// let mesh = AgentMesh::connect("nats://127.0.0.1:4222").await?;
/// mesh.register(AgentSpec::new("double", "Doubles a number.").handler(|n: i64| async move { n * 2 }))
///     .await?;
/// let answer: i64 = mesh.call("double", 21).await?;
/// assert_eq!(answer, 42);
/// mesh.shutdown().await
/// # }
/// ```
#[derive(Clone)]
pub struct AgentMesh(Arc<Handle>);

/// What all handles share.
struct Handle {
    client: Client,
    host: Arc<Host>,
    #[cfg(feature = "local")]
    server: std::sync::Mutex<Option<openagentmesh_local::LocalServer>>,
}

impl AgentMesh {
    pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    pub(crate) fn new(
        connection: Connection,
        instance_id: InstanceId,
        url: String,
        grace: Duration,
        host_interceptors: &[Arc<dyn Interceptor>],
        client_interceptors: &[Arc<dyn Interceptor>],
    ) -> Self {
        let connection = ConnectionGuard::new(connection);
        let session = Arc::new(Session {
            directory: Arc::new(Directory::new(&connection)),
            request_headers: request_template(&instance_id),
            kv: SharedBucket::new(
                Bucket::new(Connection::clone(&connection), CONTEXT),
                &connection,
            ),
            objects: SharedBucket::new(
                Bucket::new(Connection::clone(&connection), ARTIFACTS),
                &connection,
            ),
            connection,
            instance_id,
            url,
            interceptors: Interceptors::new(client_interceptors),
        });
        // Whoever asks for agents later finds the catalog here.
        drop(session.directory.follow());
        Self(Arc::new(Handle {
            host: Host::new(
                Arc::clone(&session),
                grace,
                trace::host_interceptors(host_interceptors),
            ),
            client: Client::new(session, None),
            #[cfg(feature = "local")]
            server: std::sync::Mutex::new(None),
        }))
    }

    /// Connects to the mesh at `url`.
    ///
    /// # Errors
    ///
    /// As [`MeshBuilder::connect`]. Cancel-safe.
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        Self::builder().url(url).connect().await
    }

    /// Connects to the mesh that the environment names: `OAM_URL`, the nearest `.oam-url` in the
    /// working directory or one above it, else `nats://localhost:4222`.
    ///
    /// # Errors
    ///
    /// As [`MeshBuilder::connect`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = openagentmesh::AgentMesh::from_env().await?;
    /// for agent in mesh.catalog().await? {
    ///     println!("{}: {}", agent.name, agent.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn from_env() -> Result<Self> {
        Self::builder().connect().await
    }

    /// Connects with further options; see [`MeshBuilder`].
    pub fn builder() -> MeshBuilder {
        MeshBuilder::default()
    }

    /// Starts a mesh of this process's own, for tests and demos, and connects to it.
    ///
    /// It is a real `nats-server`, found on this machine or installed into `~/.agentmesh/bin` by
    /// the first call. It listens on loopback only and is gone, with all that it stored, when
    /// the last handle is dropped or [`shutdown`](AgentMesh::shutdown) returns.
    ///
    /// # Errors
    ///
    /// `connection_failed` when there is no server and none can be installed, or it does not
    /// start; the message lists what was tried. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = openagentmesh::AgentMesh::local().await?;
    /// assert!(mesh.catalog().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "local")]
    pub async fn local() -> Result<Self> {
        let server = openagentmesh_local::LocalServer::start()
            .await
            .map_err(|error| {
                Error::raised(ErrorCode::ConnectionFailed, error.to_string()).with_source(error)
            })?;
        let mesh = Self::connect(server.url()).await?;
        *mesh
            .0
            .server
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(server);
        Ok(mesh)
    }

    /// Serves `agents` and lists them in the catalog: all of them, or none if that fails.
    ///
    /// Takes one agent, or many: `agents![echo, summarize]`, a `Vec`, an array. When it returns,
    /// every process on the mesh can find and call them. Other processes may serve the same
    /// names; they share the requests.
    ///
    /// # Errors
    ///
    /// `invalid_input` when a name is no agent name (the message names the segment), ends in
    /// `.events`, which is where another agent publishes, or is registered twice in this process, or
    /// when an input schema is none; `payload_too_large` when the catalog or a contract would exceed
    /// what the server carries; `connection_failed` when the mesh cannot be written to; `timeout`
    /// when other writers of the catalog win every race for a minute.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: once polled, it goes on to its end in the background.
    ///
    /// ```no_run
    /// use openagentmesh::{AgentMesh, agent, agents};
    ///
    /// /// Adds two numbers.
    /// #[agent]
    /// async fn add((a, b): (i64, i64)) -> i64 {
    ///     a + b
    /// }
    ///
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = AgentMesh::from_env().await?;
    /// mesh.register(agents![add]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register(&self, agents: impl IntoIterator<Item = Agent>) -> Result<()> {
        self.registering(agents.into_iter().collect()).await
    }

    fn registering(&self, agents: Vec<Agent>) -> BoxFuture<'static, Result<()>> {
        finished(Arc::clone(&self.0.host).register(agents))
    }

    /// Stops serving the agents `names`: takes no more requests, finishes those that were taken,
    /// and takes the agents off the catalog.
    ///
    /// # Errors
    ///
    /// `invalid_input` when one is no agent name; `not_found` when this process does not serve
    /// one, and then nothing is done; `connection_failed` when the mesh cannot be written to.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: once polled, it goes on to its end in the background.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// mesh.deregister(["nlp.summarizer"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn deregister<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<()> {
        let names = names
            .into_iter()
            .map(|name| Ok(AgentName::new(name.as_ref())?))
            .collect::<Result<Vec<_>>>()?;
        self.deregistering(names).await
    }

    fn deregistering(&self, names: Vec<AgentName>) -> BoxFuture<'static, Result<()>> {
        finished(Arc::clone(&self.0.host).deregister(names))
    }

    /// Serves until Ctrl-C or SIGTERM, then shuts down in order.
    ///
    /// A second signal during the shutdown gives up running requests, a third one the wait for the
    /// mesh.
    ///
    /// # Errors
    ///
    /// As [`shutdown`](AgentMesh::shutdown), and `connection_failed` when signals cannot be
    /// awaited on this system.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe until a signal arrives; afterwards as [`shutdown`](AgentMesh::shutdown).
    ///
    /// ```no_run
    /// # async fn example(agents: Vec<openagentmesh::Agent>) -> openagentmesh::Result<()> {
    /// let mesh = openagentmesh::AgentMesh::from_env().await?;
    /// mesh.register(agents).await?;
    /// mesh.run().await
    /// # }
    /// ```
    pub async fn run(&self) -> Result<()> {
        self.running().await
    }

    fn running(&self) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut signals = signals::Signals::listen()?;
            signals.next().await;
            tracing::info!("shutting down");
            let mut shutdown = self.ending();
            tokio::select! {
                ended = &mut shutdown => return ended,
                () = signals.next() => self.0.host.abort(),
            }
            // Running requests are given up; leaving the catalog has a moment still.
            tokio::select! {
                ended = tokio::time::timeout(IMPATIENCE, shutdown) => ended.unwrap_or_else(|_| Err(hurried())),
                () = signals.next() => Err(hurried()),
            }
        }
        .boxed()
    }

    /// Leaves the mesh in order: takes no more requests, finishes those that were taken within
    /// the [grace](MeshBuilder::shutdown_grace) time, takes the agents off the catalog, and closes
    /// the connection.
    ///
    /// Safe to call again; other handles of this connection cannot be used afterwards.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the catalog could not be written: the agents stay listed.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: once polled, the agents leave in the background; the connection then closes with
    /// the last handle.
    pub async fn shutdown(&self) -> Result<()> {
        self.ending().await
    }

    fn ending(&self) -> BoxFuture<'_, Result<()>> {
        async move {
            let left = finished(Arc::clone(&self.0.host).shutdown()).await;
            self.session().connection.close().await;
            self.0.host.abort();
            #[cfg(feature = "local")]
            self.stop_server().await;
            left
        }
        .boxed()
    }

    #[cfg(feature = "local")]
    async fn stop_server(&self) {
        let server = self
            .0
            .server
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(server) = server
            && let Err(error) = server.stop().await
        {
            tracing::warn!(%error, "the local server did not stop in order");
        }
    }
}

/// The verbs by which agents are found and called are those of the [`Client`].
impl std::ops::Deref for AgentMesh {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0.client
    }
}

/// Runs `work` to its end even if nobody waits for it any more, so that agents are not left served
/// and unlisted, or listed and not served.
fn finished(
    work: impl Future<Output = Result<()>> + Send + 'static,
) -> BoxFuture<'static, Result<()>> {
    async move {
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(failure) => match failure.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::raised(
                    ErrorCode::ConnectionFailed,
                    "the runtime shut down before the mesh was told",
                )),
            },
        }
    }
    .boxed()
}

fn hurried() -> Error {
    Error::raised(
        ErrorCode::Timeout,
        "the shutdown was cut short; agents may stay listed that nobody serves",
    )
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.host.abort();
    }
}

impl std::fmt::Debug for AgentMesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentMesh")
            .field("instance_id", self.instance_id())
            .finish_non_exhaustive()
    }
}
