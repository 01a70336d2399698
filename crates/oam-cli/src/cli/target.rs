//! The options that select the mesh.

use std::path::PathBuf;

use clap::Args;

/// The mesh that a command connects to: the values of the [global options](super::Global).
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[arg(from_global)]
    pub(crate) url: Option<String>,
    #[arg(from_global)]
    pub(crate) creds: Option<PathBuf>,
}
