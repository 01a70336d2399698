//! Settings of local clusters.

use std::path::PathBuf;

use super::node::ClusterNode;
use super::ready::wait_ready;
use super::shared::{NodesStart, launch_nodes, node_ports};
use super::value::LocalCluster;
use crate::config::DEFAULT_MAX_PAYLOAD;
use crate::data::DataDirectory;
use crate::home::Home;
use crate::process::Lifetime;
use crate::record::{ClusterRecord, Record};
use crate::server::choose_binary;
use crate::{LocalError, background, orphans};

/// Settings for a [`LocalCluster`].
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::LocalCluster;
///
/// let cluster = LocalCluster::builder().nodes(5).port(4222).start().await?;
/// assert_eq!(cluster.nodes()[4].url(), "nats://127.0.0.1:4226");
/// # cluster.stop().await
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until `start` is called"]
pub struct LocalClusterBuilder {
    nodes: usize,
    port: u16,
    max_payload: u32,
    accounts: Option<String>,
    data: Option<PathBuf>,
    started_in: Option<PathBuf>,
    home: Option<PathBuf>,
    binary: Option<PathBuf>,
}

impl Default for LocalClusterBuilder {
    fn default() -> Self {
        Self {
            nodes: 3,
            port: 0,
            max_payload: DEFAULT_MAX_PAYLOAD,
            accounts: None,
            data: None,
            started_in: None,
            home: None,
            binary: None,
        }
    }
}

impl LocalClusterBuilder {
    /// The number of nodes: 3 to 9, by default 3. A cluster of `n` nodes works while more than half of them do.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// The TCP port for clients of the first node; the others get the ports after it. 0, the default, lets the
    /// servers choose.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Maximum size of a message including headers, in bytes. The default is 8 MiB; `nats-server`
    /// allows at most 64 MiB.
    pub fn max_payload(mut self, bytes: u32) -> Self {
        self.max_payload = bytes;
        self
    }

    /// The accounts of the nodes with their users, in the syntax of the server's configuration, in place of one account that
    /// everyone may use without a login. The text has the system account, too.
    /// [`RunningMesh::set_accounts`](crate::RunningMesh::set_accounts) replaces it while the nodes run.
    pub fn accounts(mut self, configuration: impl Into<String>) -> Self {
        self.accounts = Some(configuration.into());
        self
    }

    /// Keeps the JetStream data of all nodes in this directory, which is made if it does not exist, from one cluster to
    /// the next of as many nodes. One cluster at a time uses it. A directory with other files is refused.
    pub fn data_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = Some(path.into());
        self
    }

    /// Lists the cluster in [`RunningMesh::list`](crate::RunningMesh::list), as a mesh that was started in this
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

    /// Starts the nodes and returns once they form a JetStream cluster: after about a second. Requires a tokio runtime
    /// with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// [`LocalError::InvalidCluster`] and [`LocalError::InvalidClusterPort`] for invalid settings;
    /// [`LocalError::DataInUse`], [`LocalError::DataUnusable`] and [`LocalError::DataOfOtherNodes`] when the data directory
    /// cannot be used; [`LocalError::ClusterNotReady`] when the nodes do not find each other in time; and those of
    /// [`LocalServerBuilder::start`](crate::LocalServerBuilder::start). After an error neither process nor directory
    /// remains.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends all nodes and removes their directories.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::LocalCluster;
    /// let cluster = LocalCluster::builder().start().await?;
    /// # cluster.stop().await
    /// # }
    /// ```
    pub async fn start(self) -> Result<LocalCluster, LocalError> {
        let ports = node_ports(self.port, self.nodes)?;
        let home = Home::new(self.home.as_deref())?;
        let binary = choose_binary(self.binary, self.home).await?;
        let max_payload = self.max_payload;
        let (data, accounts, started_in) = (self.data, self.accounts, self.started_in);
        background::run(move |cancellation| {
            let data = data.map(|path| DataDirectory::open(&path, Some(ports.len())));
            let mut data = data.transpose()?;
            let start = NodesStart {
                binary: binary.path(),
                ports: &ports,
                max_payload,
                accounts: accounts.as_deref(),
                data: data.as_ref(),
                lifetime: Lifetime::Bound,
            };
            let (shared, nodes) = launch_nodes(&start, cancellation, || {
                orphans::create_directory(&home, cancellation)
            })?;
            let urls: Vec<&str> = nodes
                .iter()
                .map(|(launched, _)| &*launched.endpoints.url)
                .collect();
            let cluster = ClusterRecord {
                name: shared.name.clone(),
                url: urls.join(","),
            };
            if let Some(data) = &mut data {
                data.record(&home, &cluster.url, started_in.as_deref())?;
            }
            if let Some(started_in) = started_in {
                let version = binary.version().to_string();
                for (launched, directory) in &nodes {
                    let data = data.as_ref().map(DataDirectory::path);
                    let cluster = Some(cluster.clone());
                    let (started_in, version) = (started_in.clone(), version.clone());
                    Record::new(launched, Vec::new(), started_in, version, data, cluster)
                        .write(directory.path())?;
                }
            }
            let nodes: Vec<ClusterNode> = nodes
                .into_iter()
                .map(|(launched, directory)| ClusterNode::new(launched, directory))
                .collect();
            let watched: Vec<_> = nodes.iter().map(ClusterNode::watched).collect();
            wait_ready(&watched, &shared, cancellation)?;
            if let Some(data) = &mut data {
                data.keep();
            }
            Ok(LocalCluster::new(nodes, shared, binary, data))
        })
        .await
    }
}
