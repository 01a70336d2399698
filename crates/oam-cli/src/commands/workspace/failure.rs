//! Errors of files, with hints.

use openagentmesh::ErrorCode;

use crate::failure::Failure;

/// The workspace has no file of this name.
pub(super) fn not_found(name: &str) -> Failure {
    let message = format!("file '{name}' not found in the workspace");
    Failure::mesh(ErrorCode::NotFound, message).hint("oam workspace list shows the files")
}
