//! The failure of a contract that was not found.

use openagentmesh::{AgentMesh, Error, ErrorCode};

use crate::failure::Failure;
use crate::{hint, similar};

/// The failure of the lookup of the contract of agent `name`, with similar names if the agent was not found.
pub(super) async fn failure(error: Error, mesh: &AgentMesh, name: &str) -> Failure {
    let is_missing = error.code() == &ErrorCode::NotFound;
    let has_similar = error.details().contains_key("similar");
    let failure = Failure::from(error);
    if !is_missing || has_similar {
        return failure;
    }
    let names = async {
        let entries = mesh.catalog().await?;
        Ok::<Vec<String>, Error>(entries.into_iter().map(|entry| entry.name).collect())
    };
    hint::with_similar(failure, name, similar::among(name, names).await)
}
