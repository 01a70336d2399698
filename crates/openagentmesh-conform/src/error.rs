//! The reasons why a check has no report.

use std::time::Duration;

use openagentmesh_protocol::AgentName;

/// The error of a check that could not be made. A rule that is not followed is an outcome of the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server cannot be reached, or the connection is closed.
    #[error("cannot use the mesh at {url}: {cause}; check the URL and the credentials")]
    Connection {
        /// The URL, without a login.
        url: String,
        /// The cause.
        cause: String,
    },
    /// The server denies the connection.
    #[error("the server at {url} denies the connection: {cause}; check the credentials")]
    Denied {
        /// The URL, without a login.
        url: String,
        /// The cause.
        cause: String,
    },
    /// A message to the mesh was not sent.
    #[error("cannot send a message: {0}; check the connection and the permissions of the user")]
    Message(String),
    /// The agent is neither in the catalog nor in the registry.
    #[error("agent '{agent}' not found{}; start its host", within(waited))]
    NotFound {
        /// The agent.
        agent: AgentName,
        /// The time for which the check waited.
        waited: Duration,
    },
    /// A bucket could not be read or written.
    #[error("cannot use bucket '{bucket}': {cause}; `oam mesh init` creates the buckets of a mesh")]
    Storage {
        /// The bucket.
        bucket: &'static str,
        /// The cause.
        cause: String,
    },
}

fn within(waited: &Duration) -> String {
    match waited.is_zero() {
        true => String::new(),
        false => format!(" within {} s", waited.as_secs_f32()),
    }
}
