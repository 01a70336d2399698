//! Connecting to a mesh with options.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{ErrorCode, InstanceId};

use super::handle::{AgentMesh, Settings};
use crate::error::{Error, Result};
use crate::liveness::{DEFAULT_LEASE, MAX_LEASE, MIN_LEASE};
use crate::telemetry::{Interceptor, trace};
use crate::transport::{
    ClientCertificate, Connection, ConnectionOptions, Credentials, Endpoint, NatsEvents,
    Replication, Secret, dial, expand_home, redacted_url, user,
};

/// The time that running requests have to finish at shutdown.
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// The options of a connection to a mesh; made by [`AgentMesh::builder`].
///
/// A connection authenticates in one way: by a [user and a password](Self::user_and_password), a
/// [token](Self::token), an [NKey](Self::nkey), a [JWT](Self::jwt) or a
/// [credentials file](Self::credentials). Two ways fail with `configuration`. Secrets are not shown by `Debug`, in logs or in errors.
///
/// ```no_run
/// # async fn example() -> openagentmesh::Result<()> {
/// use openagentmesh::AgentMesh;
///
/// let mesh = AgentMesh::builder()
///     .url("tls://mesh.example.com:4222")
///     .credentials("agent.creds")
///     .ca_file("ca.pem")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `connect` is awaited"]
pub struct MeshBuilder {
    options: ConnectionOptions,
    nats_client: Option<(async_nats::Client, Option<NatsEvents>)>,
    shutdown_grace: Option<Duration>,
    request_timeout: Option<Duration>,
    lease: Option<Duration>,
    replicas: Option<usize>,
    host_interceptors: Vec<Arc<dyn Interceptor>>,
    client_interceptors: Vec<Arc<dyn Interceptor>>,
}

impl MeshBuilder {
    /// The server's URL (`nats://` or `tls://`), or those of several servers of one cluster with commas between them. Without it,
    /// the environment names the mesh; see [`Endpoint`].
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.options.url = Some(url.into());
        self
    }

    /// The name of a context of this user, which `oam context add` has stored, in place of a [`url`](Self::url). Its
    /// credentials apply unless this builder sets others; see [`Endpoint`].
    ///
    /// ```no_run
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = openagentmesh::AgentMesh::builder().context("staging").connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.options.context = Some(name.into());
        self
    }

    /// Authenticates with a NATS credentials file, instead of the one that the environment may name. The file is read
    /// again at each attempt to reconnect. In all paths here, `~` as first segment is the home directory.
    pub fn credentials(self, path: impl Into<PathBuf>) -> Self {
        self.authenticate(Credentials::File(expand_home(&path.into())))
    }

    /// Authenticates with a user and a password.
    pub fn user_and_password(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.authenticate(Credentials::UserAndPassword {
            user: user.into(),
            password: Secret::new(password),
        })
    }

    /// Authenticates with a token.
    pub fn token(self, token: impl Into<String>) -> Self {
        self.authenticate(Credentials::Token(Secret::new(token)))
    }

    /// Authenticates with an NKey: `seed` is the private seed of a user, which begins with `SU`.
    pub fn nkey(self, seed: impl Into<String>) -> Self {
        self.authenticate(Credentials::Nkey {
            seed: Secret::new(seed),
        })
    }

    /// Authenticates with the JWT of a user and the private seed of the same user.
    pub fn jwt(self, jwt: impl Into<String>, seed: impl Into<String>) -> Self {
        self.authenticate(Credentials::Jwt {
            jwt: Secret::new(jwt),
            seed: Secret::new(seed),
        })
    }

    /// Trusts the certificate authorities of a PEM file instead of those of the system, and requires TLS.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.ca_file = Some(expand_home(&path.into()));
        self
    }

    /// Presents a client certificate to the server, and requires TLS. Both files are PEM.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.options.client_certificate = Some(ClientCertificate {
            certificate: expand_home(&certificate.into()),
            key: expand_home(&key.into()),
        });
        self
    }

    /// The first part of the subjects on which this process receives replies: `_INBOX` by default. A server
    /// whose permissions separate users gives each a prefix of its own.
    pub fn inbox_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.inbox_prefix = Some(prefix.into());
        self
    }

    /// The token of the user as whom this process connects: the permissions of the user name subjects with it. The prefix
    /// of its replies is then `_INBOX.` and the token, and its instance id begins with the token.
    ///
    /// Without this, the token is that of the JWT in the credentials, if it has one: the tag `mesh-user:` and the token.
    /// This is for servers without JWTs. It grants nothing: the server decides what the user may do.
    ///
    /// ```no_run
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = openagentmesh::AgentMesh::builder()
    ///     .user_and_password("ann", "secret")
    ///     .user("ann")
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn user(mut self, token: impl Into<String>) -> Self {
        self.options.user = Some(token.into());
        self
    }

    /// The name of the connection in the server's monitoring: `oam-host-` and the instance id by default,
    /// by which a health monitor recognises the process.
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// Uses the connection of an existing client, with its options and credentials, instead of one of the mesh's own.
    /// The options of the connection cannot be set then. After [`shutdown`](AgentMesh::shutdown) the client goes on.
    ///
    /// A client has one event callback, which is the program's. Without its events, a lost connection is noticed up
    /// to 250 ms later, and an operation that the server denies ends with its timeout instead of `connection_denied`;
    /// [`nats_client_with_events`](Self::nats_client_with_events) passes them on. When the client ends, for example on
    /// a malformed message of a peer, the connection is closed.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use openagentmesh::{AgentMesh, async_nats};
    ///
    /// let client = async_nats::connect("nats://127.0.0.1:4222").await?;
    /// let mesh = AgentMesh::builder().nats_client(client.clone()).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn nats_client(mut self, client: async_nats::Client) -> Self {
        self.nats_client = Some((client, None));
        self
    }

    /// As [`nats_client`](Self::nats_client), with the client's events: an operation that the server denies fails at
    /// once with `connection_denied`, and an error names credentials that the server refuses at a reconnect.
    ///
    /// The event callback of `client` calls [`NatsEvents::observe`] of `events`, or of a clone.
    pub fn nats_client_with_events(
        mut self,
        client: async_nats::Client,
        events: &NatsEvents,
    ) -> Self {
        self.nats_client = Some((client, Some(events.clone())));
        self
    }

    /// Sets the timeout of calls and sends that set none (30 s and 60 s by default). Streams and
    /// subscriptions have their own. Zero fails [`connect`](Self::connect) with `configuration`.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// Sets the grace time: the time that running requests have to finish at shutdown, 10 s by default.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.shutdown_grace = Some(grace);
        self
    }

    /// Sets the lease of this process: the time without a sign of life after which the other processes of the mesh
    /// count it as dead and remove its agents from the catalog, 4 s by default, from 1 s to 1 h. It matters for a
    /// process that is frozen or partitioned. The loss of the connection is noticed without it.
    ///
    /// A process that serves agents renews its lease every third of this time. Another value fails
    /// [`connect`](Self::connect) with `configuration`.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Sets the number of replicas of the buckets that this process creates, 1 to 5, in place of the variable
    /// [`OAM_REPLICAS`](crate::REPLICAS_VARIABLE). Without either, a bucket has three replicas on a server of a cluster
    /// and one elsewhere. A cluster with fewer nodes gets as many as it can hold, and a warning is logged. Existing
    /// buckets are changed by [`replicate_buckets`](crate::Client::replicate_buckets) only.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = Some(replicas);
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
    /// Only this first attempt has to succeed: a connection that is lost later is dialed again.
    ///
    /// Some malformed messages of peers make the NATS client panic in a task of its own. The connection then gets
    /// another client within milliseconds: requests in flight fail with `connection_failed`, everything else goes on.
    /// The first connect of a process installs a panic hook that logs such a panic as one warning. Every other panic is
    /// passed on to the hook that was installed before.
    ///
    /// # Errors
    ///
    /// * `configuration` when an option, the URL, `.oam-url` or the context is invalid, or when the context is not
    ///   stored; the message names it;
    /// * `connection_failed` when nothing answers, which takes less than a second, when the peer is not a
    ///   NATS server, or when TLS fails;
    /// * `connection_denied` when the server refuses the credentials: `details.credentials` is `missing`, `expired`
    ///   or `refused`;
    /// * `io_error` when the runtime shuts down while the environment is read.
    ///
    /// Cancel-safe: dropping the future closes the connection.
    pub async fn connect(self) -> Result<AgentMesh> {
        self.boxed_connect().await
    }

    /// Starts a mesh of this process's own, as [`AgentMesh::local`] does, and connects to it with the options of
    /// this builder. The server has no login and no TLS.
    ///
    /// # Errors
    ///
    /// Those of [`AgentMesh::local`]; `configuration` when a [`url`](Self::url) or a [`context`](Self::context) is
    /// set. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example() -> openagentmesh::Result<()> {
    /// use std::time::Duration;
    ///
    /// use openagentmesh::AgentMesh;
    ///
    /// let mesh = AgentMesh::builder()
    ///     .request_timeout(Duration::from_secs(2))
    ///     .local()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "local")]
    pub async fn local(self) -> Result<AgentMesh> {
        let option = match (&self.options.url, &self.options.context) {
            (Some(_), _) => Some("url"),
            (None, Some(_)) => Some("context"),
            (None, None) => None,
        };
        if let Some(option) = option {
            return Err(Error::raised(
                ErrorCode::Configuration,
                format!(
                    "conflicting options {option} and local: a local mesh has a URL of its own; remove one of them"
                ),
            )
            .with_detail("option", option));
        }
        let server = openagentmesh_local::LocalServer::start()
            .await
            .map_err(|error| {
                Error::raised(ErrorCode::ConnectionFailed, error.to_string()).with_source(error)
            })?;
        let mesh = self.url(server.url()).connect().await?;
        mesh.keep_server(server);
        Ok(mesh)
    }

    /// Boxed, because the code of an `async fn` is compiled where it is awaited, in every program.
    fn boxed_connect(self) -> BoxFuture<'static, Result<AgentMesh>> {
        async move {
            if self.request_timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Err(Error::raised(
                    ErrorCode::Configuration,
                    "invalid option request_timeout: 0 s leaves no time for a reply; give a longer one",
                )
                .with_detail("option", "request_timeout"));
            }
            if let Some(lease) = self.lease
                && !(MIN_LEASE..=MAX_LEASE).contains(&lease)
            {
                return Err(Error::raised(
                    ErrorCode::Configuration,
                    format!("invalid option lease: {lease:?}; give a time from {MIN_LEASE:?} to {MAX_LEASE:?}"),
                )
                .with_detail("option", "lease"));
            }
            let replication = Replication::new(self.replicas)?;
            let (connection, instance_id, url) = self.dial().await?;
            let settings = Settings {
                url,
                shutdown_grace: self.shutdown_grace.unwrap_or(DEFAULT_SHUTDOWN_GRACE),
                request_timeout: self.request_timeout,
                lease: self.lease.unwrap_or(DEFAULT_LEASE),
                host_interceptors: trace::host_interceptors(&self.host_interceptors),
                client_interceptors: trace::client_interceptors(&self.client_interceptors),
            };
            tracing::info!(url = settings.url, %instance_id, "connected to the mesh");
            let connection = connection.with_replication(replication);
            Ok(AgentMesh::new(connection, instance_id, settings))
        }
        .boxed()
    }

    /// A connection with the options of this builder, a new identity for it, and the URL of the server.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    pub(super) async fn dial(&self) -> Result<(Connection, InstanceId, String)> {
        match &self.nats_client {
            Some((client, events)) => share(client.clone(), events.as_ref(), &self.options),
            None => {
                let (url, context) = (self.options.url.clone(), self.options.context.clone());
                let endpoint = resolve(url, context).await?;
                let user = user(&endpoint, &self.options).await?;
                let instance_id = InstanceId::random_of(user.as_ref());
                let connection = dial(&endpoint, &self.options, &instance_id).await?;
                Ok((connection, instance_id, redacted_url(&endpoint.url)))
            }
        }
    }

    fn authenticate(mut self, credentials: Credentials) -> Self {
        self.options.authenticate(credentials);
        self
    }
}

/// A connection of `client`, a new identity for it, and the URL of its server.
fn share(
    client: async_nats::Client,
    events: Option<&NatsEvents>,
    options: &ConnectionOptions,
) -> Result<(Connection, InstanceId, String)> {
    if let Some(option) = options.first() {
        return Err(Error::raised(
            ErrorCode::Configuration,
            format!(
                "conflicting options nats_client and {option}: an existing client has its own connection; \
                 remove one of them"
            ),
        )
        .with_detail("option", option));
    }
    let server = client.server_info();
    let host = match server.host.contains(':') {
        true => format!("[{}]", server.host),
        false => server.host,
    };
    let user = options.user()?;
    Ok((
        Connection::shared(client, events, user.as_ref()),
        InstanceId::random_of(user.as_ref()),
        format!("nats://{host}:{}", server.port),
    ))
}

/// Reads the environment, which may read files, on a thread that may block.
async fn resolve(url: Option<String>, context: Option<String>) -> Result<Endpoint> {
    let read = move || {
        match (url, context) {
        (Some(_), Some(_)) => Err(Error::raised(
            ErrorCode::Configuration,
            "conflicting options url and context: a context has a URL of its own; remove one of them",
        )
        .with_detail("option", "context")),
        (None, Some(name)) => Endpoint::from_context(&name, None),
        (url, None) => Endpoint::resolve(url.as_deref(), None),
    }
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(endpoint) => endpoint,
        Err(error) => Err(Error::raised(
            ErrorCode::IoError,
            format!("cannot read the environment: {error}"),
        )
        .with_source(error)),
    }
}

impl AgentMesh {
    /// Connects to the mesh at `url`. As [`MeshBuilder::connect`], it installs a panic hook for the NATS client.
    ///
    /// # Errors
    ///
    /// Those of [`MeshBuilder::connect`]. Cancel-safe.
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        Self::builder().url(url).connect().await
    }

    /// Connects to the mesh that the environment names: `OAM_URL`, `OAM_CONTEXT`, the nearest `.oam-url` in the
    /// working directory or above it, the selected context, else `nats://localhost:4222`; see [`Endpoint`].
    ///
    /// # Errors
    ///
    /// Those of [`MeshBuilder::connect`]. Cancel-safe.
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
    /// The mesh is a real `nats-server`, found on this machine or installed into `~/.agentmesh/bin` by the
    /// first call. It listens on loopback only. Tokio's paused clock (`start_paused = true`) does not work
    /// with a server: the clock advances while the runtime waits for the server, so that timeouts pass at once. The server and everything it stored are gone when the last
    /// handle is dropped or [`shutdown`](AgentMesh::shutdown) returns.
    ///
    /// # Errors
    ///
    /// `connection_failed` when no server is found and none can be installed, or when it does not start;
    /// the message lists what was tried. Cancel-safe.
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
        Self::builder().local().await
    }
}

impl fmt::Debug for MeshBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshBuilder")
            .field("url", &self.options.url.as_deref().map(redacted_url))
            .field("context", &self.options.context)
            .field("shutdown_grace", &self.shutdown_grace)
            .field("request_timeout", &self.request_timeout)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
