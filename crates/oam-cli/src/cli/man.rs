//! `oam man`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Directory for the pages of all commands, which is created if missing
    ///
    /// If absent, the page of `oam` goes to stdout.
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}
