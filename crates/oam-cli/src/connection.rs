//! The connection of a command to the mesh.

use openagentmesh::{AgentMesh, Endpoint};

use crate::cli::Target;
use crate::failure::Failure;

/// Connects to the mesh that the arguments or the environment select.
pub(crate) async fn connect(target: Target) -> Result<AgentMesh, Failure> {
    let mut builder = AgentMesh::builder();
    if let Some(url) = target.url {
        builder = builder.url(url);
    }
    if let Some(context) = target.context {
        builder = builder.context(context);
    }
    if let Some(creds) = target.creds {
        builder = builder.credentials(creds);
    }
    Ok(builder.connect().await?)
}

/// The address of that mesh and its source. Nothing is connected to.
pub(crate) fn endpoint(target: &Target) -> Result<Endpoint, Failure> {
    let creds = target.creds.as_deref();
    Ok(match (&target.url, &target.context) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "conflicting options --url and --context: a context has a URL of its own; remove one of them",
            ));
        }
        (None, Some(context)) => Endpoint::from_context(context, creds)?,
        (url, None) => Endpoint::resolve(url.as_deref(), creds)?,
    })
}
