pub(crate) mod delete;
mod file;
pub(crate) mod get;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod put;

use openagentmesh::ErrorCode;

use crate::failure::Failure;

/// There is no such file in the workspace.
fn not_found(name: &str) -> Failure {
    let message = format!("there is no file '{name}' in the workspace");
    Failure::mesh(ErrorCode::NotFound, message).hint("oam workspace list shows the files there are")
}
