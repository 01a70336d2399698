//! A server that outlives the process that started it.

mod builder;
mod record;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::LocalError;
use crate::background;
use crate::config::log_path;
use crate::directory::remove;
use crate::process::end_servers_of;

pub use builder::DetachedServerBuilder;
use record::Record;

/// The port that NATS clients try first.
const DEFAULT_PORT: u16 = 4222;

/// How long a server may take to end in order before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

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
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let mesh = DetachedServer::builder().port(0).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> DetachedServerBuilder {
        DetachedServerBuilder::default()
    }

    /// The servers that are running, oldest first. What is left of others, because they crashed or
    /// the machine was restarted, is removed.
    ///
    /// In a container that shares the home directory, a server that runs outside, or in another
    /// container, is listed if it can be reached from here. If not, it is neither listed nor
    /// removed.
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
    /// [`LocalError::StillRunning`] if the server could not be ended; [`LocalError::OutOfReach`] if
    /// it runs where it cannot be ended from here, as in another container; [`LocalError::Locked`] if
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
        let Self { directory, record } = self.clone();
        background::run(move |cancellation| {
            let Some(parent) = directory.parent().filter(|parent| parent.is_dir()) else {
                return Ok(());
            };
            let _lock = record::lock(parent, cancellation)?;
            end_servers_of(&directory, STOP_GRACE)?;
            if record.greets(&directory) {
                return Err(LocalError::OutOfReach { url: record.url });
            }
            remove(&directory)
        })
        .await
    }
}
