//! Servers that form a JetStream cluster on this machine.

mod builder;
mod node;
mod ready;
mod shared;
mod value;

pub use builder::LocalClusterBuilder;
pub use node::ClusterNode;
pub(crate) use ready::wait_ready;
pub(crate) use shared::{Member, launch_nodes, node_ports};
pub use value::LocalCluster;
