//! What a wait for the readiness of a cluster knows of a node.

use std::path::Path;

/// A node that runs.
pub(crate) struct WatchedNode<'a> {
    /// The port for clients.
    pub(crate) port: u16,
    pub(crate) directory: &'a Path,
    /// The name of the server.
    pub(crate) name: &'a str,
    /// The length of its log before its start, in bytes.
    pub(crate) log_start: u64,
}
