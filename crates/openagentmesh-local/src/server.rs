//! A server that lives as long as its owner.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::binary::{NatsServer, NatsServerSearch};
use crate::config::{Config, DEFAULT_MAX_PAYLOAD, SystemCredentials, log_path};
use crate::directory::OwnedDirectory;
use crate::home::Home;
use crate::launch::{Endpoints, Lifetime, launch};
use crate::process::OwnedChild;
use crate::watchdog::Watchdog;
use crate::{LocalError, background, orphans};

/// How long a server may take to end in order before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A `nats-server` of this process's own, with JetStream, on the loopback interface only.
///
/// Each one has a directory of its own below `~/.agentmesh/run` for configuration, log and data,
/// and chooses free ports, so any number of them run side by side. Everything is thrown away in
/// the end, process and directory:
///
/// * [`stop`](Self::stop) ends the server in order and reports what went wrong.
/// * Dropping the value kills the server, waits for its end (some milliseconds, blocking) and
///   removes the directory.
/// * If this process ends without either, on Ctrl-C, `SIGTERM`, `kill -9` or in any other way, a
///   watchdog kills the server and removes the directory within a moment. This process need not
///   handle any signal for that.
///
/// The server is in a process group of its own: Ctrl-C at the terminal reaches this process only.
///
/// The watchdog is a process of `/bin/sh` for each server, so there is none on Windows. Where there
/// is none, or if it is killed as well, the next start of any [`LocalServer`] of this user ends the
/// server that was left and removes its directory.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::LocalServer;
///
/// let server = LocalServer::start().await?;
/// println!("a mesh is at {}", server.url());
/// server.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping a LocalServer ends it"]
pub struct LocalServer {
    // Dropped in this order: first the process, then its directory, and the watchdog only when
    // there is nothing left to watch, so that it helps out if this process dies on the way.
    child: OwnedChild,
    directory: OwnedDirectory,
    watchdog: Option<Watchdog>,
    endpoints: Endpoints,
    system: SystemCredentials,
    binary: NatsServer,
}

impl LocalServer {
    /// Starts a server with default settings, and installs `nats-server` first if there is none.
    ///
    /// Returns once the server answers, which takes about 0.1 s if the program is at hand. It must
    /// be called in a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// Those of [`LocalServerBuilder::start`], except those about the port.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends and removes what was started.
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

    /// Settings for a server that is yet to be started.
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

    /// Where clients connect, such as `nats://127.0.0.1:45431`. They need no credentials.
    pub fn url(&self) -> &str {
        &self.endpoints.url
    }

    /// Where WebSocket clients connect, such as `ws://127.0.0.1:35485`.
    pub fn websocket_url(&self) -> &str {
        &self.endpoints.websocket_url
    }

    /// The TCP port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.endpoints.port
    }

    /// The user of the system account, for a health monitor.
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

    /// The program that runs.
    pub fn binary(&self) -> &NatsServer {
        &self.binary
    }

    /// The server's own directory. It goes when the server ends.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's log file, in [`directory`](Self::directory).
    pub fn log_path(&self) -> PathBuf {
        log_path(self.directory())
    }

    /// Ends the server in order, kills it if it has not ended after 5 s, and removes its directory.
    ///
    /// # Errors
    ///
    /// [`LocalError::Io`] if the process or the directory could not be removed;
    /// [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the stop goes on in the background when the future is dropped.
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
    max_payload: u32,
    home: Option<PathBuf>,
    binary: Option<PathBuf>,
}

impl Default for LocalServerBuilder {
    fn default() -> Self {
        Self {
            port: 0,
            max_payload: DEFAULT_MAX_PAYLOAD,
            home: None,
            binary: None,
        }
    }
}

impl LocalServerBuilder {
    /// The TCP port for clients; WebSocket clients get the one after it. 0, the default, lets the
    /// server choose both.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The largest message, headers included, that the server takes, in bytes. Default 8 MiB; the
    /// server itself allows at most 64 MiB.
    pub fn max_payload(mut self, bytes: u32) -> Self {
        self.max_payload = bytes;
        self
    }

    /// The directory that holds `.agentmesh`, instead of the user's home directory.
    pub fn home_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.home = Some(path.into());
        self
    }

    /// The `nats-server` program to run, instead of finding or installing one.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Starts the server and returns once it answers. Servers that a killed owner left, and its
    /// watchdog with it, are cleaned up on the way.
    ///
    /// It must be called in a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// * [`LocalError::NoHome`]: there is no home directory.
    /// * [`LocalError::NamedServerUnusable`], [`LocalError::ServerUnusable`],
    ///   [`LocalError::NotInstalled`]: there is no program to run.
    /// * [`LocalError::InvalidPort`], [`LocalError::PortTaken`],
    ///   [`LocalError::WebSocketPortTaken`]: the port cannot be had.
    /// * [`LocalError::Exited`], [`LocalError::NotReady`]: the server did not come up; the error
    ///   has the end of its log.
    /// * [`LocalError::Locked`]: another process blocks the start.
    /// * [`LocalError::PathNotText`], [`LocalError::Io`]: the directory cannot be used.
    /// * [`LocalError::Interrupted`]: the runtime is stopping.
    ///
    /// After an error neither process nor directory is left.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends and removes what was started.
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
        let binary = choose_binary(self.binary, self.home).await?;
        let (port, max_payload) = (self.port, self.max_payload);
        background::run(move |cancellation| {
            let directory = orphans::create_directory(&home, cancellation)?;
            let config = Config {
                directory: directory.path(),
                port,
                max_payload,
            };
            let launched = launch(binary.path(), &config, Lifetime::Bound, cancellation)?;
            Ok(LocalServer {
                child: launched.child,
                directory,
                watchdog: launched.watchdog,
                endpoints: launched.endpoints,
                system: launched.system,
                binary,
            })
        })
        .await
    }
}

/// The program that was asked for, or else the one that is found or installed.
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
