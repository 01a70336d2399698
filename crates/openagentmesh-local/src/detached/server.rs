//! A server that outlives the process that started it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::record::{self, Record};
use crate::config::log_path;
use crate::directory::remove;
use crate::process::end_servers_of;
use crate::{LocalError, background};

/// Grace period between SIGTERM and SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A `nats-server` that runs until it is stopped, independent of the process that started it:
/// `oam mesh up` starts one and `oam mesh down` stops it.
///
/// Configuration, log and JetStream data are in a directory below `~/.agentmesh/mesh`, which is
/// removed when the server is stopped. The server listens on the loopback interface only.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::DetachedServer;
///
/// let mesh = DetachedServer::builder().port(4222).start().await?;
/// println!("the mesh runs at {}", mesh.url());
/// // Later, in another process:
/// for mesh in DetachedServer::list().await? {
///     mesh.stop().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DetachedServer {
    pub(super) directory: PathBuf,
    pub(super) record: Record,
}

impl DetachedServer {
    /// The URL for clients, such as `nats://127.0.0.1:4222`. No credentials are needed.
    pub fn url(&self) -> &str {
        &self.record.url
    }

    /// The URL for WebSocket clients, such as `ws://127.0.0.1:4223`. `None` unless the server was
    /// started with a [`websocket_origin`](crate::DetachedServerBuilder::websocket_origin).
    pub fn websocket_url(&self) -> Option<&str> {
        self.record.websocket_url.as_deref()
    }

    /// The origins whose web pages may connect over WebSocket.
    pub fn websocket_origins(&self) -> &[String] {
        &self.record.websocket_origins
    }

    /// The TCP port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.record.port
    }

    /// The working directory of the process that started the server.
    pub fn started_in(&self) -> &Path {
        &self.record.started_in
    }

    /// The time of the start.
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

    /// The server's directory, which is removed when the server is stopped.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The server's log file, in [`directory`](Self::directory).
    pub fn log_path(&self) -> PathBuf {
        log_path(&self.directory)
    }

    /// Shuts the server down gracefully, kills it after 10 s, and removes its directory with all
    /// data. A server that is already gone is success.
    ///
    /// # Errors
    ///
    /// [`LocalError::StillRunning`] if the server could not be killed; [`LocalError::OutOfReach`] if
    /// the server runs in another container; [`LocalError::Locked`] if another process starts or
    /// stops a server for more than 30 s; [`LocalError::Io`] if the directory could not be removed;
    /// [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the shutdown continues in the background if the future is dropped, unless it
    /// still waits for another process. Stopping again is harmless.
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
