//! The meshes that `oam mesh up` runs, in the background and in the foreground.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::server::{DetachedServer, Node};
use crate::config::log_path;
use crate::process::{is_server_of, signal_reload};
use crate::{LocalError, accounts, background};

/// A mesh that runs on this machine: a [`DetachedServer`], or a [`LocalServer`](crate::LocalServer) or
/// [`LocalCluster`](crate::LocalCluster) that was started with the directory in which it counts as started.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// for mesh in openagentmesh_local::RunningMesh::list().await? {
///     println!("{} from {}", mesh.url(), mesh.started_in().display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RunningMesh {
    server: DetachedServer,
    is_foreground: bool,
}

/// The log of one server of a mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLog {
    /// The URL of the server.
    pub url: String,
    /// The log file.
    pub path: PathBuf,
}

impl RunningMesh {
    pub(super) fn all(detached: Vec<DetachedServer>, owned: Vec<DetachedServer>) -> Vec<Self> {
        let of = |servers: Vec<DetachedServer>, is_foreground| {
            servers.into_iter().map(move |server| Self {
                server,
                is_foreground,
            })
        };
        let mut meshes: Vec<Self> = of(detached, false).chain(of(owned, true)).collect();
        meshes.sort_by_key(Self::started_at);
        meshes
    }

    /// The running meshes, oldest first. As [`DetachedServer::list`] otherwise.
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
    /// let meshes = openagentmesh_local::RunningMesh::list().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list() -> Result<Vec<Self>, LocalError> {
        DetachedServer::builder().list_meshes().await
    }

    /// Whether `url` is that of a server of the mesh. `localhost`, `127.0.0.1` and `[::1]` are equivalent. A URL
    /// without a port means port 4222.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let meshes = openagentmesh_local::RunningMesh::list().await?;
    /// let mesh = meshes.iter().find(|mesh| mesh.has_url("nats://localhost:4222"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_url(&self, url: &str) -> bool {
        self.server.has_url(url)
    }

    /// The URL for clients; for a cluster the URLs of all nodes, with commas between them.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Whether the mesh ends with the process that started it, as with `oam mesh up --foreground`.
    pub fn is_foreground(&self) -> bool {
        self.is_foreground
    }

    /// The process ids of the servers that run.
    pub fn pids(&self) -> Vec<u32> {
        self.server.pids()
    }

    /// The working directory of the process that started the mesh.
    pub fn started_in(&self) -> &Path {
        self.server.started_in()
    }

    /// The time of the start.
    pub fn started_at(&self) -> SystemTime {
        self.server.started_at()
    }

    /// The version of `nats-server`.
    pub fn version(&self) -> &str {
        self.server.version()
    }

    /// The directory that keeps the data; `None` if the data is removed with the mesh.
    pub fn data_directory(&self) -> Option<&Path> {
        self.server.data_directory()
    }

    /// The directories of the JetStream data, one for each server.
    pub fn stores(&self) -> Vec<PathBuf> {
        match self.data_directory() {
            Some(data) => vec![data.to_owned()],
            None => self
                .nodes()
                .map(|node| node.directory.join("data"))
                .collect(),
        }
    }

    /// The logs of the servers, also of those of a cluster that are down.
    pub fn logs(&self) -> Vec<ServerLog> {
        let log = |node: &Node| ServerLog {
            url: node.record.url.clone(),
            path: log_path(&node.directory),
        };
        let mut logs: Vec<ServerLog> = self.nodes().map(log).collect();
        logs.sort_by(|a, b| a.path.cmp(&b.path));
        logs.sort_by_key(|log| self.url().find(&log.url));
        logs
    }

    /// Whether a server of the mesh still runs.
    ///
    /// # Errors
    ///
    /// [`LocalError::Io`] if the processes cannot be listed; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh_local::RunningMesh)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// if !mesh.is_running().await? {
    ///     println!("the mesh has ended");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn is_running(&self) -> Result<bool, LocalError> {
        let nodes: Vec<Node> = self.nodes().cloned().collect();
        background::run(move |_| {
            for Node { directory, record } in nodes {
                if is_server_of(record.pid, &directory)?
                    || (record.is_of_another_namespace() && record.greets(&directory))
                {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }

    /// The accounts that the servers were started with, or that [`set_accounts`](Self::set_accounts) gave them; `None` for a mesh
    /// that everyone may use.
    ///
    /// # Errors
    ///
    /// [`LocalError::Io`] if the file cannot be read; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh_local::RunningMesh)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// if mesh.accounts().await?.is_none() {
    ///     println!("everyone may connect");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accounts(&self) -> Result<Option<String>, LocalError> {
        let directory = self.server.directory().to_owned();
        background::run(move |_| accounts::read(&directory)).await
    }

    /// Replaces the accounts of the servers. They read the new ones at once, and end the connections of users that are no
    /// longer permitted.
    ///
    /// # Errors
    ///
    /// [`LocalError::Io`] if the file cannot be written, or a server cannot be told; [`LocalError::Interrupted`] if the runtime
    /// is stopping.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the change continues in the background if the future is dropped.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh_local::RunningMesh, accounts: String)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// mesh.set_accounts(accounts).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_accounts(&self, configuration: String) -> Result<(), LocalError> {
        let directories: Vec<PathBuf> = self.nodes().map(|node| node.directory.clone()).collect();
        background::run(move |_| {
            // A node that is down reads them when it is started again.
            for directory in &directories {
                accounts::write(directory, &configuration)?;
            }
            signal_reload(&directories)
        })
        .await
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.server.all()
    }
}
