//! A server that outlives the process that started it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::LocalError;
use crate::background::{self, Cancellation};
use crate::config::{Config, DEFAULT_MAX_PAYLOAD, log_path};
use crate::directory::{
    FileLock, OwnedDirectory, create_private, private_file, remove, server_directories,
};
use crate::home::Home;
use crate::launch::{Launched, launch};
use crate::process::{end_servers_of, is_server_of};
use crate::server::choose_binary;

/// The port that NATS clients try first.
const DEFAULT_PORT: u16 = 4222;

/// How long a server may take to end in order before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How long to wait for other processes that start or stop a mesh. One at a time does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known about a mesh, in its directory.
const RECORD_FILE: &str = "mesh.json";

/// What [`RECORD_FILE`] says. It is written last: a directory without it belongs to a start that
/// was killed on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    pid: u32,
    url: String,
    websocket_url: String,
    port: u16,
    websocket_port: u16,
    started_in: PathBuf,
    system_user: String,
    system_password: String,
    version: String,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
}

/// A `nats-server` that runs until it is stopped, whoever started it: what `oam mesh up` leaves
/// running and `oam mesh down` ends.
///
/// Its configuration, log and JetStream data are in a directory of its own below
/// `~/.agentmesh/mesh` and go when it is stopped. It listens on the loopback interface only.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::DetachedServer;
///
/// let mesh = DetachedServer::builder().port(4222).start().await?;
/// println!("a mesh is at {}", mesh.url());
/// // Later, in another process:
/// for mesh in DetachedServer::list().await? {
///     mesh.stop().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DetachedServer {
    directory: PathBuf,
    record: Record,
}

impl DetachedServer {
    /// Starts a server on port 4222, with default settings. See [`DetachedServerBuilder::start`].
    ///
    /// # Errors
    ///
    /// Those of [`DetachedServerBuilder::start`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends and removes what was started.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let mesh = openagentmesh_local::DetachedServer::start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start() -> Result<Self, LocalError> {
        Self::builder().start().await
    }

    /// Settings for a server that is yet to be started, and for [`list`](Self::list) and
    /// [`find_by_url`](Self::find_by_url) in another home directory.
    pub fn builder() -> DetachedServerBuilder {
        DetachedServerBuilder::default()
    }

    /// The servers that are running, oldest first. What is left of others, because they crashed or
    /// the machine was restarted, is removed.
    ///
    /// # Errors
    ///
    /// [`LocalError::NoHome`] if there is no home directory; [`LocalError::Locked`] if another
    /// process starts or stops a server for more than 30 s; [`LocalError::Io`] if
    /// `~/.agentmesh/mesh` cannot be used; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// for mesh in openagentmesh_local::DetachedServer::list().await? {
    ///     println!("{} from {}", mesh.url(), mesh.started_in().display());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list() -> Result<Vec<Self>, LocalError> {
        Self::builder().list().await
    }

    /// The running server whose clients or WebSocket clients connect to `url`; `localhost`,
    /// `127.0.0.1` and `[::1]` are the same, and so are `nats://localhost` and port 4222.
    ///
    /// # Errors
    ///
    /// Those of [`list`](Self::list).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// use openagentmesh_local::DetachedServer;
    ///
    /// if let Some(mesh) = DetachedServer::find_by_url("nats://localhost:4222").await? {
    ///     mesh.stop().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn find_by_url(url: &str) -> Result<Option<Self>, LocalError> {
        Self::builder().find_by_url(url).await
    }

    /// Where clients connect, such as `nats://127.0.0.1:4222`. They need no credentials.
    pub fn url(&self) -> &str {
        &self.record.url
    }

    /// Where WebSocket clients connect, such as `ws://127.0.0.1:4223`.
    pub fn websocket_url(&self) -> &str {
        &self.record.websocket_url
    }

    /// The TCP port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.record.port
    }

    /// The working directory in which it was started.
    pub fn started_in(&self) -> &Path {
        &self.record.started_in
    }

    /// When it was started.
    pub fn started_at(&self) -> SystemTime {
        self.record.started_at.into()
    }

    /// The version of `nats-server`, such as `2.15.1`.
    pub fn version(&self) -> &str {
        &self.record.version
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.record.pid
    }

    /// The user of the system account, for a health monitor.
    pub fn system_user(&self) -> &str {
        &self.record.system_user
    }

    /// The password of [`system_user`](Self::system_user).
    pub fn system_password(&self) -> &str {
        &self.record.system_password
    }

    /// The server's own directory. It goes when the server is stopped.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The server's log file, in [`directory`](Self::directory).
    pub fn log_path(&self) -> PathBuf {
        log_path(&self.directory)
    }

    /// Ends the server in order, kills it if it has not ended after 10 s, and removes its
    /// directory with all data. A server that is gone already is success.
    ///
    /// # Errors
    ///
    /// [`LocalError::StillRunning`] if the server could not be ended; [`LocalError::Locked`] if
    /// another process starts or stops a server for more than 30 s; [`LocalError::Io`] if the
    /// directory could not be removed; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the stop goes on in the background when the future is dropped, unless it still
    /// waits for another process. Stopping again is harmless.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh_local::DetachedServer)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// mesh.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stop(&self) -> Result<(), LocalError> {
        let directory = self.directory.clone();
        background::run(move |cancellation| {
            let Some(parent) = directory.parent().filter(|parent| parent.is_dir()) else {
                return Ok(());
            };
            let _lock = lock(parent, cancellation)?;
            end_servers_of(&directory, STOP_GRACE)?;
            remove(&directory)
        })
        .await
    }
}

/// Settings for a [`DetachedServer`].
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::DetachedServer;
///
/// let mesh = DetachedServer::builder().port(0).started_in("/work/project").start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until `start` is called"]
pub struct DetachedServerBuilder {
    port: u16,
    max_payload: u32,
    started_in: Option<PathBuf>,
    home: Option<PathBuf>,
    binary: Option<PathBuf>,
}

impl Default for DetachedServerBuilder {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            max_payload: DEFAULT_MAX_PAYLOAD,
            started_in: None,
            home: None,
            binary: None,
        }
    }
}

impl DetachedServerBuilder {
    /// The TCP port for clients, by default 4222; WebSocket clients get the one after it. 0 lets
    /// the server choose both.
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

    /// The directory to name as the place where the server was started, instead of the working
    /// directory of this process.
    pub fn started_in(mut self, path: impl Into<PathBuf>) -> Self {
        self.started_in = Some(path.into());
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

    /// Starts the server and returns once it answers. Of several starts on one port exactly one
    /// succeeds. It must be called in a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// * [`LocalError::NoHome`]: there is no home directory.
    /// * [`LocalError::NamedServerUnusable`], [`LocalError::ServerUnusable`],
    ///   [`LocalError::NotInstalled`]: there is no program to run.
    /// * [`LocalError::PortTakenByMesh`]: another [`DetachedServer`] has the port or the one after
    ///   it; the error says where it was started.
    /// * [`LocalError::InvalidPort`], [`LocalError::PortTaken`],
    ///   [`LocalError::WebSocketPortTaken`]: the port cannot be had.
    /// * [`LocalError::Exited`], [`LocalError::NotReady`]: the server did not come up; the error
    ///   has the end of its log.
    /// * [`LocalError::Locked`]: another process starts or stops a server for more than 30 s.
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
    /// # use openagentmesh_local::DetachedServer;
    /// let mesh = DetachedServer::builder().port(4300).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start(self) -> Result<DetachedServer, LocalError> {
        let home = Home::new(self.home.as_deref())?;
        let started_in = match self.started_in {
            Some(path) => std::path::absolute(&path).map_err(LocalError::io("find", &path))?,
            None => std::env::current_dir()
                .map_err(LocalError::io("find", Path::new("the working directory")))?,
        };
        let binary = choose_binary(self.binary, self.home).await?;
        let (port, max_payload) = (self.port, self.max_payload);
        background::run(move |cancellation| {
            let parent = home.detached_servers();
            create_private(&parent)?;
            // Held until the record is written, so that others see whole servers only and a port
            // is never lost to a server that nobody knows yet.
            let _lock = lock(&parent, cancellation)?;
            let directory = OwnedDirectory::create(&parent)?;
            let config = Config {
                directory: directory.path(),
                port,
                max_payload,
            };
            refuse_taken_port(&config, &running(&parent, Some(directory.path()))?)?;
            let launched = launch(binary.path(), &config, cancellation)?;
            let record = Record::new(&launched, started_in, binary.version().to_string());
            record.write(directory.path())?;
            cancellation.check()?;
            launched.child.detach()?;
            let path = directory.path().to_owned();
            directory.release();
            Ok(DetachedServer {
                directory: path,
                record,
            })
        })
        .await
    }

    /// [`DetachedServer::list`] in the home directory of these settings.
    ///
    /// # Errors
    ///
    /// Those of [`DetachedServer::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let meshes = DetachedServer::builder().home_directory("/home/me").list().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list(&self) -> Result<Vec<DetachedServer>, LocalError> {
        let parent = Home::new(self.home.as_deref())?.detached_servers();
        background::run(move |cancellation| {
            if !parent.is_dir() {
                return Ok(Vec::new());
            }
            let _lock = lock(&parent, cancellation)?;
            running(&parent, None)
        })
        .await
    }

    /// [`DetachedServer::find_by_url`] in the home directory of these settings.
    ///
    /// # Errors
    ///
    /// Those of [`DetachedServer::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let settings = DetachedServer::builder().home_directory("/home/me");
    /// let mesh = settings.find_by_url("nats://localhost:4222").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn find_by_url(&self, url: &str) -> Result<Option<DetachedServer>, LocalError> {
        let Some(port) = loopback_port(url) else {
            return Ok(None);
        };
        let servers = self.list().await?;
        Ok(servers
            .into_iter()
            .find(|server| port == server.record.port || port == server.record.websocket_port))
    }
}

impl Record {
    fn new(launched: &Launched, started_in: PathBuf, version: String) -> Self {
        Self {
            pid: launched.child.pid(),
            url: launched.endpoints.url.clone(),
            websocket_url: launched.endpoints.websocket_url.clone(),
            port: launched.endpoints.port,
            websocket_port: launched.endpoints.websocket_port,
            started_in,
            system_user: launched.system.user.clone(),
            system_password: launched.system.password.clone(),
            version,
            started_at: OffsetDateTime::now_utc(),
        }
    }

    fn write(&self, directory: &Path) -> Result<(), LocalError> {
        let path = directory.join(RECORD_FILE);
        serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|json| {
                private_file()
                    .create_new(true)
                    .open(&path)?
                    .write_all(&json)
            })
            .map_err(LocalError::io("write", &path))
    }

    /// The record in `directory`; `None` if there is none that makes sense.
    fn read(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(directory.join(RECORD_FILE)).ok()?).ok()
    }
}

/// The right to start, list and stop detached servers.
fn lock(parent: &Path, cancellation: &Cancellation) -> Result<FileLock, LocalError> {
    FileLock::acquire(&parent.join(".lock"), PATIENCE, cancellation)
}

/// The running servers, oldest first, leaving out the directory `except`. Directories of others
/// are removed. The caller must hold the lock.
fn running(parent: &Path, except: Option<&Path>) -> Result<Vec<DetachedServer>, LocalError> {
    let mut servers = Vec::new();
    for directory in server_directories(parent)? {
        if Some(directory.as_path()) == except {
            continue;
        }
        match Record::read(&directory) {
            Some(record) if is_server_of(record.pid, &directory)? => {
                servers.push(DetachedServer { directory, record });
            }
            _ => {
                // A start that was killed may have left a server without a record.
                tracing::debug!(directory = %directory.display(), "removing what a mesh left");
                end_servers_of(&directory, Duration::ZERO)?;
                remove(&directory)?;
            }
        }
    }
    servers.sort_by_key(|server| server.record.started_at);
    Ok(servers)
}

/// Fails if one of our own servers has a port that `config` asks for.
fn refuse_taken_port(config: &Config<'_>, servers: &[DetachedServer]) -> Result<(), LocalError> {
    let wanted = [config.port, config.websocket_port()?];
    if config.port == 0 {
        return Ok(());
    }
    for port in wanted {
        for DetachedServer { record, .. } in servers {
            if port == record.port || port == record.websocket_port {
                return Err(LocalError::PortTakenByMesh {
                    port,
                    url: record.url.clone(),
                    started_in: record.started_in.clone(),
                });
            }
        }
    }
    Ok(())
}

/// The port of a URL that leads to this machine's loopback interface.
fn loopback_port(url: &str) -> Option<u16> {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let address = address.split(['/', '?', '#']).next()?;
    let address = address
        .rsplit_once('@')
        .map_or(address, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        // A colon within brackets belongs to the host.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, DEFAULT_PORT),
    };
    let is_loopback =
        host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]");
    is_loopback.then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_this_machine_are_recognised() {
        for (url, port) in [
            ("nats://127.0.0.1:4300", Some(4300)),
            ("nats://localhost", Some(4222)),
            ("LOCALHOST:1", Some(1)),
            ("nats://user:p:w@localhost:4300/", Some(4300)),
            ("ws://[::1]:4301", Some(4301)),
            ("[::1]", Some(4222)),
            ("nats://demo.example:4222", None),
            ("nats://localhost:port", None),
            ("", None),
        ] {
            assert_eq!(loopback_port(url), port, "{url}");
        }
    }
}
