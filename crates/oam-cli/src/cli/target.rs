//! The arguments that select the mesh.

use std::path::PathBuf;

use clap::Args;

/// The mesh that a command connects to.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// URL of the mesh [default: OAM_URL, else the nearest .oam-url, else nats://localhost:4222]
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// NATS credentials file [default: OAM_CREDS, else the file that .oam-url names]
    #[arg(long, value_name = "FILE")]
    pub(crate) creds: Option<PathBuf>,
}
