//! The connection of a command to the mesh.

use futures::StreamExt;
use openagentmesh::{AgentMesh, ConnectionState, Endpoint, ErrorCode};
use tokio::sync::Notify;

use crate::cli::Target;
use crate::failure::Failure;

/// Connects to the mesh that the arguments or the environment select. The command ends when the mesh refuses its credentials
/// later.
pub(crate) async fn connect(target: Target) -> Result<AgentMesh, Failure> {
    let mesh = connect_to_stay(target).await?;
    let mut states = mesh.status_changes();
    tokio::spawn(async move {
        while let Some(state) = states.next().await {
            if state == ConnectionState::Refused {
                REFUSED.notify_one();
            }
        }
    });
    Ok(mesh)
}

/// As [`connect`], for a command that others rely on: it goes on when its credentials file is replaced.
pub(crate) async fn connect_to_stay(target: Target) -> Result<AgentMesh, Failure> {
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

/// Notified when a mesh refuses the credentials of the command later.
static REFUSED: Notify = Notify::const_new();

/// Resolves with the error of a command whose credentials are refused while it runs: it does not wait for others.
pub(crate) async fn refused() -> Failure {
    REFUSED.notified().await;
    Failure::mesh(
        ErrorCode::ConnectionDenied,
        "connection denied: the mesh refuses the credentials of this command, which have expired, or were revoked or replaced",
    )
    .hint("oam auth whoami says whose they are; run the command again with new ones")
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
