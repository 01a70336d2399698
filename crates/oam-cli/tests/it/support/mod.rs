//! Everything that starts and stops processes: sandboxes, meshes, commands and terminals.

mod configured_server;
mod deadline;
mod dialogue;
mod handler_count;
mod help;
mod output;
mod program;
mod running;
mod sandbox;
mod terminal;
mod test_mesh;
pub(crate) mod workspace;

pub(crate) use configured_server::ConfiguredServer;
pub(crate) use deadline::within_deadline;
pub(crate) use dialogue::Dialogue;
pub(crate) use handler_count::HandlerCount;
pub(crate) use help::{commands_and_groups_in_help, commands_in_help};
pub(crate) use output::CommandOutput;
pub(crate) use running::Running;
pub(crate) use sandbox::{SHORT_TEMPORARY_DIRECTORY, Sandbox, nats_server};
pub(crate) use terminal::Terminal;
pub(crate) use test_mesh::TestMesh;
