//! Servers that form a JetStream cluster on this machine.

mod builder;
mod leader;
mod node;
mod ready;
mod shared;
mod value;
mod watched;

use crate::LocalError;

pub use builder::LocalClusterBuilder;
pub use node::ClusterNode;
pub(crate) use ready::wait_ready;
pub(crate) use shared::{NodesStart, launch_nodes, node_ports};
pub use value::LocalCluster;
pub(crate) use watched::WatchedNode;

impl LocalCluster {
    /// Starts three nodes with default settings. Installs `nats-server` if none is found.
    ///
    /// # Errors
    ///
    /// Those of [`LocalClusterBuilder::start`], except the errors about ports.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends all nodes and removes their directories.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let cluster = openagentmesh_local::LocalCluster::start().await?;
    /// # cluster.stop().await
    /// # }
    /// ```
    pub async fn start() -> Result<Self, LocalError> {
        Self::builder().start().await
    }

    /// Settings for a new cluster.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let cluster = openagentmesh_local::LocalCluster::builder().nodes(5).start().await?;
    /// # cluster.stop().await
    /// # }
    /// ```
    pub fn builder() -> LocalClusterBuilder {
        LocalClusterBuilder::default()
    }
}
