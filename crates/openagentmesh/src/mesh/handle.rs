//! The handle of a mesh, and its shutdown.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{AgentName, ErrorCode, InstanceId};

use super::signals::{Signal, Signals};
use crate::agent::{Agent, IntoAgents};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::presence;
use crate::session::Session;
use crate::telemetry::Interceptors;
use crate::transport::Connection;
use crate::util::operation::Operation;

/// The limit of a shutdown after a second signal.
const FORCED_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection to a mesh: serves agents, and calls them as the [`Client`] that it is.
///
/// A clone is cheap and is another handle of the same connection. When the last handle is dropped, the
/// agents of this process are no longer served. [`run`](AgentMesh::run) and
/// [`shutdown`](AgentMesh::shutdown) also finish running requests and remove the agents from the catalog.
///
/// A handler calls other agents through its [`Context`](crate::Context). A handler that captures a handle
/// keeps it alive as long as its agent is served: such a process ends with `run` or `shutdown`, not with a
/// drop.
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

/// The decisions of the builder.
pub(super) struct Settings {
    /// The server's URL without a login.
    pub(super) url: String,
    pub(super) shutdown_grace: Duration,
    pub(super) request_timeout: Option<Duration>,
    pub(super) lease: Duration,
    pub(super) host_interceptors: Interceptors,
    pub(super) client_interceptors: Interceptors,
}

/// The state that all handles share.
struct Handle {
    client: Client,
    host: Arc<Host>,
    #[cfg(feature = "local")]
    server: crate::util::sync::Mutex<Option<openagentmesh_local::LocalServer>>,
}

impl AgentMesh {
    pub(super) fn new(connection: Connection, instance_id: InstanceId, settings: Settings) -> Self {
        let session = Arc::new(Session {
            request_timeout: settings.request_timeout,
            interceptors: settings.client_interceptors,
            ..Session::new(connection, instance_id, settings.url)
        });
        // Loads the catalog in the background, before the first query.
        session.directory.start();
        presence::start(&session);
        Self(Arc::new(Handle {
            host: Host::new(
                Arc::clone(&session),
                settings.shutdown_grace,
                settings.lease,
                settings.host_interceptors,
            ),
            client: Client::new(session, None),
            #[cfg(feature = "local")]
            server: crate::util::sync::Mutex::new(None),
        }))
    }

    /// Serves `agents` until Ctrl-C or SIGTERM, then shuts down in order: [`register`](AgentMesh::register),
    /// then [`run`](AgentMesh::run). The form for programs that only serve; the others call both.
    ///
    /// # Errors
    ///
    /// Those of `register` and `run`.
    ///
    /// # Cancel safety
    ///
    /// As `register` and `run`. The agents stay served when the future is dropped.
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
    /// mesh.serve(agents![add]).await
    /// # }
    /// ```
    pub fn serve<M>(&self, agents: impl IntoAgents<M>) -> Operation<'static, ()> {
        let (mesh, agents) = (self.clone(), agents.into_agents());
        Operation::new(async move {
            mesh.register_all(agents).await?;
            mesh.run_until_signal().await
        })
    }

    /// Serves `agents` in the background and lists them in the catalog: all of them, or none on error.
    ///
    /// `agents` is one agent or many: `agents![echo, summarize]`, `Type::agents(value)`, a `Vec`, an array,
    /// a tuple of these; see [`IntoAgents`]. When `register` returns, every process on the mesh can find and
    /// call them. Processes that serve the same name share its requests.
    ///
    /// # Errors
    ///
    /// * `invalid_input` when a name is invalid (the message names the segment), ends in `.events`, which is
    ///   the subject of another agent's events, or is registered twice in this process, when an input
    ///   schema is invalid, or when a timeout is zero or does not fit the shape;
    /// * `payload_too_large` when the catalog or a contract would exceed the server's `max_payload`;
    /// * `connection_denied` when the server does not permit a subscription or a write that serving needs;
    /// * `connection_failed` or `storage_error` when the mesh's buckets cannot be created or written;
    /// * `timeout` when other writers of the catalog win every compare-and-swap for a minute.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: once polled, the registration runs to its end in the background.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use openagentmesh::AgentSpec;
    ///
    /// let double = AgentSpec::new("double", "Doubles a number.").handler(|n: i64| async move { n * 2 });
    /// mesh.register(double).await?;
    /// let answer: i64 = mesh.call("double", 21).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn register<M>(&self, agents: impl IntoAgents<M>) -> Operation<'static, ()> {
        let (mesh, agents) = (self.clone(), agents.into_agents());
        Operation::new(async move { mesh.register_all(agents).await })
    }

    async fn register_all(&self, agents: Vec<Agent>) -> Result<()> {
        run_to_completion(Arc::clone(&self.0.host).register(agents)).await
    }

    /// Stops serving the agents `names`: accepts no more requests, finishes those that were accepted, and
    /// removes the agents from the catalog.
    ///
    /// # Errors
    ///
    /// * `invalid_input` when a name is invalid;
    /// * `not_found` when this process does not serve one of them, in which case nothing is done;
    /// * `connection_failed` or `storage_error` when the catalog cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: once polled, the agents leave in the background.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// mesh.deregister(["nlp.summarizer"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn deregister<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Operation<'static, ()> {
        let mesh = self.clone();
        let names: Result<Vec<_>> = names
            .into_iter()
            .map(|name| Ok(AgentName::new(name.as_ref())?))
            .collect();
        Operation::new(async move {
            run_to_completion(Arc::clone(&mesh.0.host).deregister(names?)).await
        })
    }

    /// Serves the registered agents until Ctrl-C or SIGTERM, then shuts down in order.
    ///
    /// A second signal during the shutdown cancels running requests. A third one ends the wait for the
    /// catalog. The signals are those of [`shutdown_signal`](crate::shutdown_signal). On Windows, requests have 2 s when
    /// the console, the session or the system ends, because the process has 5 s.
    ///
    /// # Errors
    ///
    /// Those of [`shutdown`](AgentMesh::shutdown); `timeout` when signals cut the shutdown short; `io_error`
    /// when the process cannot listen for signals.
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
    pub fn run(&self) -> Operation<'static, ()> {
        let mesh = self.clone();
        Operation::new(async move { mesh.run_until_signal().await })
    }

    async fn run_until_signal(&self) -> Result<()> {
        let mut signals = Signals::listen()?;
        let signal = signals.next().await;
        tracing::info!("shutting down");
        let mut shutdown = self.shutdown();
        tokio::select! {
            ended = &mut shutdown => return ended,
            _ = signals.next() => self.0.host.abort(),
            () = time_for_requests(signal) => self.0.host.abort(),
        }
        // Running requests are cancelled; the agents are still removed from the catalog.
        tokio::select! {
            ended = tokio::time::timeout(FORCED_SHUTDOWN_TIMEOUT, shutdown) => ended.unwrap_or_else(|_| Err(shutdown_interrupted())),
            _ = signals.next() => Err(shutdown_interrupted()),
        }
    }

    /// Leaves the mesh in order: accepts no more requests, finishes those that were accepted within the
    /// [grace time](crate::MeshBuilder::shutdown_grace), removes the agents from the catalog, and closes the
    /// connection.
    ///
    /// A second call does nothing. Other handles of this connection cannot be used afterwards.
    ///
    /// # Errors
    ///
    /// `connection_failed` or `storage_error` when the catalog cannot be written: the agents stay listed.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: once polled, the agents leave in the background. The connection then closes with the
    /// last handle.
    pub fn shutdown(&self) -> Operation<'static, ()> {
        let mesh = self.clone();
        Operation::new(async move { mesh.leave().await })
    }

    async fn leave(&self) -> Result<()> {
        let left = run_to_completion(Arc::clone(&self.0.host).shutdown()).await;
        let is_first = !self.session().connection.closed().is_cancelled();
        self.session().connection.close().await;
        if is_first {
            tracing::info!(url = self.url(), "left the mesh");
        }
        self.0.host.abort();
        #[cfg(feature = "local")]
        self.stop_server().await;
        left
    }

    /// Stops `server` when the last handle is dropped or the mesh is shut down.
    #[cfg(feature = "local")]
    pub(super) fn keep_server(&self, server: openagentmesh_local::LocalServer) {
        *self.0.server.lock() = Some(server);
    }

    #[cfg(feature = "local")]
    async fn stop_server(&self) {
        let server = self.0.server.lock().take();
        if let Some(server) = server
            && let Err(error) = server.stop().await
        {
            tracing::warn!(%error, "the local server did not stop cleanly");
        }
    }
}

/// The verbs that find and call agents are those of the [`Client`].
impl std::ops::Deref for AgentMesh {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0.client
    }
}

/// Runs `work` to its end even if the returned future is dropped: otherwise an agent could stay served and
/// unlisted, or listed and not served.
fn run_to_completion(
    work: impl Future<Output = Result<()>> + Send + 'static,
) -> BoxFuture<'static, Result<()>> {
    async move {
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(failure) => match failure.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::raised(
                    ErrorCode::ConnectionFailed,
                    "operation aborted: the runtime shut down before the catalog was written; agents may \
                     stay listed",
                )),
            },
        }
    }
    .boxed()
}

/// Resolves when running requests must be cancelled, so that the agents leave the catalog before the system ends the
/// process.
async fn time_for_requests(signal: Signal) {
    match signal.time_left {
        Some(left) => tokio::time::sleep(left.saturating_sub(FORCED_SHUTDOWN_TIMEOUT)).await,
        None => std::future::pending().await,
    }
}

fn shutdown_interrupted() -> Error {
    Error::raised(
        ErrorCode::Timeout,
        "shutdown interrupted: a signal arrived; agents may stay listed",
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

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_of_a_process_that_the_system_ends_leave_time_for_the_catalog() {
        let begin = Instant::now();
        let time_left = Some(Duration::from_secs(5));
        time_for_requests(Signal { time_left }).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(2));
        let endless = time_for_requests(Signal { time_left: None });
        assert!(timeout(Duration::from_secs(3600), endless).await.is_err());
    }
}
