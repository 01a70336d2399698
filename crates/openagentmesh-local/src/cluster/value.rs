//! A cluster that lives as long as the value that owns it.

use std::path::Path;
use std::time::Duration;

use super::node::ClusterNode;
use super::ready::wait_ready;
use crate::background::Cancellation;
use crate::binary::NatsServer;
use crate::config::SharedConfig;
use crate::data::DataDirectory;
use crate::{LocalError, background};

/// Grace period of each node between SIGTERM and SIGKILL.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Servers that form a JetStream cluster, owned by this value, on the loopback interface only.
///
/// Each node is a process with a directory of its own, and ends as a [`LocalServer`](crate::LocalServer) does: with
/// [`stop`](Self::stop), with this value, or by its watchdog when this process is gone. A node can be
/// [killed](Self::kill_node) and [restarted](Self::restart_node), to test how a program copes.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::LocalCluster;
///
/// let mut cluster = LocalCluster::start().await?;
/// println!("the mesh runs at {}", cluster.url());
/// cluster.kill_node(0).await?;
/// cluster.restart_node(0).await?;
/// cluster.ready().await?;
/// cluster.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping a LocalCluster ends it"]
pub struct LocalCluster {
    state: State,
    binary: NatsServer,
    url: String,
}

/// The part that work in the background takes for its time.
#[derive(Debug)]
struct State {
    nodes: Vec<ClusterNode>,
    shared: SharedConfig,
    data: Option<DataDirectory>,
}

impl LocalCluster {
    pub(super) fn new(
        nodes: Vec<ClusterNode>,
        shared: SharedConfig,
        binary: NatsServer,
        data: Option<DataDirectory>,
    ) -> Self {
        let urls: Vec<&str> = nodes.iter().map(ClusterNode::url).collect();
        Self {
            url: urls.join(","),
            state: State {
                nodes,
                shared,
                data,
            },
            binary,
        }
    }

    /// The URLs of all nodes, with commas between them. A client of this URL finds a node that runs.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The directory that keeps the data; `None` if the data is removed with the cluster.
    pub fn data_directory(&self) -> Option<&Path> {
        self.state.data.as_ref().map(DataDirectory::path)
    }

    /// The nodes, also those that are down.
    pub fn nodes(&self) -> &[ClusterNode] {
        &self.state.nodes
    }

    /// The user of the system account, for a health monitor. Accounts of the caller's own have no such user.
    pub fn system_user(&self) -> &str {
        &self.state.shared.system.user
    }

    /// The password of [`system_user`](Self::system_user).
    pub fn system_password(&self) -> &str {
        &self.state.shared.system.password
    }

    /// The program of the nodes.
    pub fn binary(&self) -> &NatsServer {
        &self.binary
    }

    /// Kills node `index` as `kill -9` does, and waits for its exit (blocking, some milliseconds). Its data and its
    /// ports stay. A node that is down is success.
    ///
    /// If the first leader of a new cluster is killed before it has stored anything, the other nodes may find no other
    /// one: create a replicated stream first.
    ///
    /// # Errors
    ///
    /// [`LocalError::UnknownNode`]; [`LocalError::Io`] if the process could not be ended.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the node is killed.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(mut cluster: openagentmesh_local::LocalCluster)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// cluster.kill_node(1).await?;
    /// assert_eq!(cluster.nodes()[1].pid(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn kill_node(&mut self, index: usize) -> Result<(), LocalError> {
        self.state.node(index)?.kill()
    }

    /// Starts node `index` with its data and on its ports, and returns once the node answers. A node that runs is shut
    /// down gracefully before.
    ///
    /// The node may not have joined the cluster then; see [`ready`](Self::ready).
    ///
    /// # Errors
    ///
    /// [`LocalError::UnknownNode`]; [`LocalError::PortTaken`] if another program has taken its port;
    /// [`LocalError::Exited`], [`LocalError::NotReady`] if it failed to start. The node is down then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: dropping the future ends the cluster.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(mut cluster: openagentmesh_local::LocalCluster)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// cluster.restart_node(1).await?;
    /// assert!(cluster.nodes()[1].pid().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn restart_node(&mut self, index: usize) -> Result<(), LocalError> {
        let binary = self.binary.path().to_owned();
        self.in_background(move |state, cancellation| {
            let State {
                nodes,
                shared,
                data,
            } = state;
            let count = nodes.len();
            let node = nodes.get_mut(index).ok_or(LocalError::UnknownNode {
                index,
                nodes: count,
            })?;
            node.terminate(STOP_GRACE)?;
            let data = data.as_ref();
            node.start(&binary, shared, index, data, cancellation)
        })
        .await
    }

    /// Waits until the nodes that run form a JetStream cluster.
    ///
    /// # Errors
    ///
    /// [`LocalError::ClusterNotReady`] after 20 s, for example when half of the nodes are down.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: dropping the future ends the cluster.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(mut cluster: openagentmesh_local::LocalCluster)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// cluster.restart_node(0).await?;
    /// cluster.ready().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&mut self) -> Result<(), LocalError> {
        self.in_background(|state, cancellation| {
            let running = state.nodes.iter().filter(|node| node.pid().is_some());
            let watched: Vec<_> = running.map(ClusterNode::watched).collect();
            wait_ready(&watched, &state.shared, cancellation)
        })
        .await
    }

    /// Shuts all nodes down gracefully, kills each after 5 s, and removes their directories.
    ///
    /// # Errors
    ///
    /// [`LocalError::Io`] if a process could not be ended or a directory could not be removed;
    /// [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the shutdown continues in the background if the future is dropped.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(cluster: openagentmesh_local::LocalCluster)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// cluster.stop().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stop(self) -> Result<(), LocalError> {
        let State {
            nodes, data: _data, ..
        } = self.state;
        background::run(move |_| {
            let mut stopped = Ok(());
            for mut node in nodes {
                let ended = node.terminate(STOP_GRACE).and_then(|()| node.remove());
                stopped = stopped.and(ended);
            }
            stopped
        })
        .await
    }

    /// Runs blocking work on the nodes.
    async fn in_background<W>(&mut self, work: W) -> Result<(), LocalError>
    where
        W: FnOnce(&mut State, &Cancellation) -> Result<(), LocalError> + Send + 'static,
    {
        let empty = State {
            nodes: Vec::new(),
            shared: self.state.shared.clone(),
            data: None,
        };
        let mut state = std::mem::replace(&mut self.state, empty);
        let (state, done) = background::run(move |cancellation| {
            let done = work(&mut state, cancellation);
            Ok((state, done))
        })
        .await?;
        self.state = state;
        done
    }
}

impl State {
    fn node(&mut self, index: usize) -> Result<&mut ClusterNode, LocalError> {
        let nodes = self.nodes.len();
        let unknown = LocalError::UnknownNode { index, nodes };
        self.nodes.get_mut(index).ok_or(unknown)
    }
}
