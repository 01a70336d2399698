//! The mesh as a program holds it: connecting, serving, leaving.

mod builder;
mod handle;
#[cfg(not(feature = "local"))]
mod local_feature;
mod monitor;
mod signals;

pub use builder::MeshBuilder;
pub use handle::AgentMesh;
pub use monitor::Monitor;
pub use signals::shutdown_signal;
