//! `oam conform`.

pub(super) mod caller;
pub(super) mod host;
mod report;

use openagentmesh::ErrorCode;
use openagentmesh_conform::{Error, Mesh};

use crate::cli::Target;
use crate::connection;
use crate::failure::Failure;

/// Connects with the plain client of the kit.
async fn connect(target: Target) -> Result<Mesh, Failure> {
    let endpoint = connection::endpoint(&target)?;
    let mesh = Mesh::connect(&endpoint.url, endpoint.credentials.as_deref()).await;
    mesh.map_err(failure)
}

fn failure(error: Error) -> Failure {
    let code = match &error {
        Error::Connection { .. } | Error::Message(_) => ErrorCode::ConnectionFailed,
        Error::Denied { .. } => ErrorCode::ConnectionDenied,
        Error::NotFound { .. } => ErrorCode::NotFound,
        _ => ErrorCode::StorageError,
    };
    let failure = Failure::mesh(code, error.to_string());
    match error {
        Error::NotFound { .. } => failure.hint(
            "oam mesh catalog lists the agents; --await-registration TIME waits for the agent",
        ),
        _ => failure,
    }
}
