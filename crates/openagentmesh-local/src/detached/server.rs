//! A server that outlives the process that started it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::loopback::loopback_port;
use crate::config::log_path;
use crate::directory::remove;
use crate::process::end_servers_of;
use crate::record::{self, Record};
use crate::{LocalError, background, data};

/// Grace period between SIGTERM and SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Maximum wait for the lock of the data of servers that have ended.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// A `nats-server`, or a cluster of them, that runs until it is stopped, independent of the process that started it:
/// `oam mesh up` starts one and `oam mesh down` stops it.
///
/// Configuration, log and JetStream data are in a directory below `~/.agentmesh/mesh`, which is
/// removed when the server is stopped, except for data in a
/// [`data_directory`](crate::DetachedServerBuilder::data_directory). The server listens on the loopback interface only.
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
    /// The server, or the first node of a cluster that runs.
    pub(super) node: Node,
    /// The other nodes that run.
    pub(super) peers: Vec<Node>,
    /// The nodes of the cluster that do not run.
    pub(super) down: Vec<Node>,
}

/// One process of a [`DetachedServer`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) directory: PathBuf,
    pub(super) record: Record,
}

impl DetachedServer {
    pub(super) fn new(node: Node) -> Self {
        Self {
            node,
            peers: Vec::new(),
            down: Vec::new(),
        }
    }

    /// Whether `node` belongs to the cluster of this server.
    pub(super) fn is_peer(&self, node: &Node) -> bool {
        let cluster = |node: &Node| Some(node.record.cluster.as_ref()?.name.clone());
        cluster(&self.node).is_some_and(|name| cluster(node) == Some(name))
    }

    /// Whether a node, also one that is down, listens on `port`.
    pub(super) fn uses(&self, port: u16) -> bool {
        self.all().any(|node| node.record.uses(port))
    }

    /// Whether `url` is that of a node.
    pub(super) fn has_url(&self, url: &str) -> bool {
        let mut ports = url.split(',').filter_map(loopback_port);
        ports.any(|port| self.uses(port))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        let others = self.peers.iter().chain(&self.down);
        std::iter::once(&self.node).chain(others)
    }

    /// The URL for clients, such as `nats://127.0.0.1:4222`; for a cluster the URLs of all nodes, with commas between
    /// them. Credentials are needed with accounts of the caller's own only.
    pub fn url(&self) -> &str {
        self.node.record.mesh_url()
    }

    /// The process ids of the servers that run: more than one for a cluster.
    pub fn pids(&self) -> Vec<u32> {
        let running = std::iter::once(&self.node).chain(&self.peers);
        running.map(|node| node.record.pid).collect()
    }

    /// The URLs of the nodes of a cluster that do not run.
    pub fn down_urls(&self) -> Vec<&str> {
        self.down.iter().map(|node| &*node.record.url).collect()
    }

    /// The URL for WebSocket clients, such as `ws://127.0.0.1:4223`. `None` unless the server was
    /// started with a [`websocket_origin`](crate::DetachedServerBuilder::websocket_origin).
    pub fn websocket_url(&self) -> Option<&str> {
        self.node.record.websocket_url.as_deref()
    }

    /// The origins whose web pages may connect over WebSocket.
    pub fn websocket_origins(&self) -> &[String] {
        &self.node.record.websocket_origins
    }

    /// The TCP port of the server. This and all that follows is that of the first node of a cluster.
    pub fn port(&self) -> u16 {
        self.node.record.port
    }

    /// The working directory of the process that started the server.
    pub fn started_in(&self) -> &Path {
        &self.node.record.started_in
    }

    /// The time of the start.
    pub fn started_at(&self) -> SystemTime {
        self.node.record.started_at.into()
    }

    /// The version of `nats-server`, such as `2.15.1`.
    pub fn version(&self) -> &str {
        &self.node.record.version
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.node.record.pid
    }

    /// The user of the system account, for a health monitor. Accounts of the caller's own have no such user.
    pub fn system_user(&self) -> &str {
        &self.node.record.system_user
    }

    /// The password of [`system_user`](Self::system_user).
    pub fn system_password(&self) -> &str {
        &self.node.record.system_password
    }

    /// The directory that keeps the data; `None` if the data is removed when the server is stopped. All nodes of a
    /// cluster have the same.
    pub fn data_directory(&self) -> Option<&Path> {
        self.node.record.data.as_deref()
    }

    /// The server's directory, which is removed when the server is stopped.
    pub fn directory(&self) -> &Path {
        &self.node.directory
    }

    /// The server's log file, in [`directory`](Self::directory).
    pub fn log_path(&self) -> PathBuf {
        log_path(&self.node.directory)
    }

    /// The log files of the server, or of all nodes of a cluster.
    pub fn log_paths(&self) -> Vec<PathBuf> {
        self.all().map(|node| log_path(&node.directory)).collect()
    }

    /// Shuts the server down gracefully, kills it after 10 s, and removes its directory. Data in a
    /// [`data_directory`](Self::data_directory) is kept; without one, the data is removed too. A server that is already gone is success.
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
        let nodes: Vec<Node> = self.all().cloned().collect();
        let parent = self.node.directory.parent().map(Path::to_owned);
        background::run(move |cancellation| {
            let Some(parent) = parent.filter(|parent| parent.is_dir()) else {
                return Ok(());
            };
            let _lock = record::lock(&parent, cancellation)?;
            for Node { directory, .. } in &nodes {
                end_servers_of(directory, STOP_GRACE)?;
            }
            if let Some(data) = nodes.first().and_then(|node| node.record.data.as_deref()) {
                data::wait_until_free(data, RELEASE_TIMEOUT);
            }
            for Node { directory, record } in nodes {
                if record.greets(&directory) {
                    return Err(LocalError::OutOfReach { url: record.url });
                }
                remove(&directory)?;
            }
            Ok(())
        })
        .await
    }
}
