//! `oam self`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SelfCommand {
    /// Remove the files of OpenAgentMesh from this machine, and the program if cargo installed it
    ///
    /// Removes ~/.agentmesh: the installed nats-server, and the meshes that `oam mesh up` started, with
    /// everything they store. Prints first what would be removed, and asks on a terminal. Directories
    /// of `oam mesh up --data` and the keys of `oam auth` are kept. If another program has installed `oam`, its command is
    /// printed.
    ///
    /// With --json, which needs --yes, prints one object: "removed" has the paths that are gone with
    /// their sizes ("path", "bytes"), "kept" the directories of keys and of meshes with --data, "stopped" the URLs
    /// of the meshes that ran, and "program" the path of `oam` ("path"), whether it is gone
    /// ("removed"), and the command that removes it if not ("command").
    Uninstall(SelfUninstall),
}

#[derive(Debug, Args)]
pub(crate) struct SelfUninstall {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Stop meshes that run, with everything they store
    #[arg(long)]
    pub(crate) force: bool,
}
