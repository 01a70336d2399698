//! `oam version`.

use clap::Args;

use super::target::Target;

#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Leave out the mesh: print only the versions on this machine
    #[arg(long)]
    pub(crate) client: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}
