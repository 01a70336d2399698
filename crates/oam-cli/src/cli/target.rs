//! The options that select the mesh.

use std::path::PathBuf;

use clap::Args;

/// The mesh that a command connects to: the values of the [global options](super::Global).
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[arg(from_global)]
    pub(crate) url: Option<String>,
    /// The name of a context, in place of a URL.
    #[arg(from_global)]
    pub(crate) context: Option<String>,
    #[arg(from_global)]
    pub(crate) creds: Option<PathBuf>,
}
