//! A server that lives as long as the value that owns it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::binary::{NatsServer, NatsServerSearch};
use crate::config::{Config, DEFAULT_MAX_PAYLOAD, SystemCredentials, log_path};
use crate::data::DataDirectory;
use crate::directory::OwnedDirectory;
use crate::home::Home;
use crate::launch::{Endpoints, launch};
use crate::process::{Lifetime, OwnedChild};
use crate::record::Record;
use crate::watchdog::Watchdog;
use crate::websocket::Origins;
use crate::{LocalError, background, orphans};

/// Grace period between SIGTERM and SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A `nats-server` with JetStream, owned by this value, on the loopback interface only.
///
/// Each server has its own directory below `~/.agentmesh/run` for configuration, log and data, and
/// chooses free ports, so any number of servers can run at the same time. Process and directory are
/// temporary:
///
/// * [`stop`](Self::stop) shuts the server down gracefully and reports errors.
/// * Dropping the value kills the server, waits for its exit (blocking, some milliseconds) and
///   removes the directory.
/// * If this process ends without either, for example by Ctrl-C, `SIGTERM` or `kill -9`, a watchdog
///   kills the server and removes the directory at once. This process need not handle signals.
///
/// The server has its own process group: Ctrl-C at the terminal reaches this process only.
///
/// The watchdog is one `/bin/sh` process per server; on Windows a job object, which leaves the directory to
/// the next start. Without a watchdog, or if it is killed too, the next start of any [`LocalServer`] of this user ends the server and removes its
/// directory.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::LocalServer;
///
/// let server = LocalServer::start().await?;
/// println!("the mesh runs at {}", server.url());
/// server.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping a LocalServer ends it"]
pub struct LocalServer {
    // Drop order: process, directory, watchdog. The watchdog comes after both, so that it finishes the
    // clean-up if this process dies before.
    child: OwnedChild,
    directory: OwnedDirectory,
    watchdog: Option<Watchdog>,
    data: Option<DataDirectory>,
    endpoints: Endpoints,
    websocket_origins: Vec<String>,
    system: SystemCredentials,
    binary: NatsServer,
}

impl LocalServer {
    /// Starts a server with default settings. Installs `nats-server` if none is found.
    ///
    /// Returns once the server answers: after about 0.1 s if the program is installed. Requires a
    /// tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// Those of [`LocalServerBuilder::start`], except the errors about the port.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends the server and removes its directory.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let server = openagentmesh_local::LocalServer::start().await?;
    /// # server.stop().await
    /// # }
    /// ```
    pub async fn start() -> Result<Self, LocalError> {
        Self::builder().start().await
    }

    /// Settings for a new server.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::LocalServer;
    /// let server = LocalServer::builder().max_payload(64 * 1024).start().await?;
    /// # server.stop().await
    /// # }
    /// ```
    pub fn builder() -> LocalServerBuilder {
        LocalServerBuilder::default()
    }

    /// The URL for clients, such as `nats://127.0.0.1:45431`. Credentials are needed with accounts of the caller's own only.
    pub fn url(&self) -> &str {
        &self.endpoints.url
    }

    /// The URL for WebSocket clients, such as `ws://127.0.0.1:35485`. `None` unless the server was
    /// started with a [`websocket_origin`](LocalServerBuilder::websocket_origin).
    pub fn websocket_url(&self) -> Option<&str> {
        self.endpoints.websocket_url.as_deref()
    }

    /// The origins whose web pages may connect over WebSocket.
    pub fn websocket_origins(&self) -> &[String] {
        &self.websocket_origins
    }

    /// The TCP port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.endpoints.port
    }

    /// The user of the system account, for a health monitor. Accounts of the caller's own have no such user.
    pub fn system_user(&self) -> &str {
        &self.system.user
    }

    /// The password of [`system_user`](Self::system_user).
    pub fn system_password(&self) -> &str {
        &self.system.password
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The program of the server.
    pub fn binary(&self) -> &NatsServer {
        &self.binary
    }

    /// The directory that keeps the data; `None` if the data is removed with the server.
    pub fn data_directory(&self) -> Option<&Path> {
        self.data.as_ref().map(DataDirectory::path)
    }

    /// The server's directory, which is removed when the server ends.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's log file, in [`directory`](Self::directory).
    pub fn log_path(&self) -> PathBuf {
        log_path(self.directory())
    }

    /// Shuts the server down gracefully, kills it after 5 s, and removes its directory. Data in a
    /// [`data_directory`](Self::data_directory) is kept.
    ///
    /// # Errors
    ///
    /// [`LocalError::Io`] if the process could not be ended or the directory could not be removed;
    /// [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the shutdown continues in the background if the future is dropped.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(server: openagentmesh_local::LocalServer)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// server.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stop(self) -> Result<(), LocalError> {
        background::run(move |_| {
            let Self {
                child,
                directory,
                watchdog: _watchdog,
                data: _data,
                ..
            } = self;
            child.terminate(STOP_GRACE)?;
            directory.remove()
        })
        .await
    }
}

/// Settings for a [`LocalServer`].
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::LocalServer;
///
/// let server = LocalServer::builder().port(4222).max_payload(1024 * 1024).start().await?;
/// assert_eq!(server.url(), "nats://127.0.0.1:4222");
/// # server.stop().await
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until `start` is called"]
pub struct LocalServerBuilder {
    port: u16,
    websocket_origins: Vec<String>,
    max_payload: u32,
    data: Option<PathBuf>,
    accounts: Option<String>,
    started_in: Option<PathBuf>,
    home: Option<PathBuf>,
    binary: Option<PathBuf>,
}

impl Default for LocalServerBuilder {
    fn default() -> Self {
        Self {
            port: 0,
            websocket_origins: Vec::new(),
            max_payload: DEFAULT_MAX_PAYLOAD,
            data: None,
            accounts: None,
            started_in: None,
            home: None,
            binary: None,
        }
    }
}

impl LocalServerBuilder {
    /// The TCP port for clients. 0, the default, lets the server choose.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Opens a WebSocket port for web pages of `origin`, such as `http://localhost:3000`: the port after
    /// that for clients, or one that the server chooses. May be repeated. Without it, the server has no
    /// WebSocket port.
    ///
    /// A page of any other origin is refused with status 403. A client without the header `Origin` is
    /// accepted: browsers always send it, and other programs could send any.
    pub fn websocket_origin(mut self, origin: impl Into<String>) -> Self {
        self.websocket_origins.push(origin.into());
        self
    }

    /// Maximum size of a message including headers, in bytes. The default is 8 MiB; `nats-server`
    /// allows at most 64 MiB.
    pub fn max_payload(mut self, bytes: u32) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Keeps the JetStream data in this directory, which is made if it does not exist, from one server to the next.
    /// One server at a time uses it. A directory with other files is refused.
    pub fn data_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = Some(path.into());
        self
    }

    /// The accounts of the server with their users, in the syntax of its configuration, in place of one account that everyone
    /// may use without a login. The text has the system account, too. [`RunningMesh::set_accounts`](crate::RunningMesh::set_accounts) replaces it while the
    /// server runs.
    pub fn accounts(mut self, configuration: impl Into<String>) -> Self {
        self.accounts = Some(configuration.into());
        self
    }

    /// Lists the server in [`RunningMesh::list`](crate::RunningMesh::list), as a mesh that was started in this
    /// directory.
    pub fn started_in(mut self, path: impl Into<PathBuf>) -> Self {
        self.started_in = Some(path.into());
        self
    }

    /// The directory that holds `.agentmesh`, instead of the user's home directory.
    pub fn home_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.home = Some(path.into());
        self
    }

    /// The `nats-server` program to run, without search or installation.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Starts the server and returns once it answers. Also ends the servers of killed owners whose
    /// watchdogs failed.
    ///
    /// Requires a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// * [`LocalError::NoHome`]: the home directory is unknown.
    /// * [`LocalError::NamedServerUnusable`], [`LocalError::ServerUnusable`],
    ///   [`LocalError::NotInstalled`]: no usable program.
    /// * [`LocalError::InvalidOrigin`]: an origin is invalid.
    /// * [`LocalError::InvalidPort`], [`LocalError::PortTaken`],
    ///   [`LocalError::WebSocketPortTaken`]: the port is invalid or in use.
    /// * [`LocalError::Exited`], [`LocalError::NotReady`]: the server failed to start; the error
    ///   contains the end of its log.
    /// * [`LocalError::DataInUse`], [`LocalError::DataUnusable`], [`LocalError::DataOfOtherNodes`]: the data directory
    ///   cannot be used.
    /// * [`LocalError::Locked`]: another process holds the start lock for too long.
    /// * [`LocalError::PathNotText`], [`LocalError::Io`]: the directory cannot be used.
    /// * [`LocalError::Interrupted`]: the runtime is stopping.
    ///
    /// After an error neither process nor directory remains, except for data that was there before.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends the server and removes its directory.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::LocalServer;
    /// let server = LocalServer::builder().start().await?;
    /// # server.stop().await
    /// # }
    /// ```
    pub async fn start(self) -> Result<LocalServer, LocalError> {
        let home = Home::new(self.home.as_deref())?;
        let origins = Origins::parse(&self.websocket_origins)?;
        let binary = choose_binary(self.binary, self.home).await?;
        let (port, max_payload) = (self.port, self.max_payload);
        let (data, accounts, started_in) = (self.data, self.accounts, self.started_in);
        background::run(move |cancellation| {
            let data = data.map(|path| DataDirectory::open(&path, None));
            let mut data = data.transpose()?;
            let directory = orphans::create_directory(&home, cancellation)?;
            let config = Config {
                directory: directory.path(),
                port,
                websocket_origins: &origins,
                max_payload,
                member: None,
                data: data.as_ref(),
                accounts: accounts.as_deref(),
            };
            let launched = launch(binary.path(), &config, Lifetime::Bound, cancellation)?;
            let origins = origins.into_vec();
            if let Some(data) = &mut data {
                data.record(&home, &launched.endpoints.url, started_in.as_deref())?;
                data.keep();
            }
            if let Some(started_in) = started_in {
                let data = data.as_ref().map(DataDirectory::path);
                let version = binary.version().to_string();
                Record::new(&launched, origins.clone(), started_in, version, data, None)
                    .write(directory.path())?;
            }
            Ok(LocalServer {
                child: launched.child,
                directory,
                watchdog: launched.watchdog,
                data,
                endpoints: launched.endpoints,
                websocket_origins: origins,
                system: launched.system,
                binary,
            })
        })
        .await
    }
}

/// The program at `binary` if given, else the result of a search with installation.
pub(crate) async fn choose_binary(
    binary: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Result<NatsServer, LocalError> {
    match binary {
        Some(path) => NatsServer::at(path).await,
        None => {
            let mut search = NatsServerSearch::new();
            if let Some(home) = home {
                search = search.home_directory(home);
            }
            search.find_or_install().await
        }
    }
}
