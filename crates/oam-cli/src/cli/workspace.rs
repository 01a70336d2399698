//! `oam workspace`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::parse::key_and_value;
use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Put a file into the workspace, replacing any previous version
    ///
    /// Readers get the previous version until the upload is complete.
    Put(WorkspacePut),
    /// Get a file from the workspace
    ///
    /// The content is checked against its digest. An existing file on this machine is replaced
    /// only when the download is complete. With --json, and a file on this machine, the metadata is
    /// printed as in `oam workspace info --json`.
    Get(WorkspaceGet),
    /// List the files in the workspace
    ///
    /// With --json, an array of the objects that `oam workspace info --json` prints.
    #[command(alias = "ls")]
    List(WorkspaceList),
    /// Print the metadata of a file
    ///
    /// With --json, an object: the name, the size in bytes, the time of the change, and the digest, the
    /// type, the description and the metadata if set.
    #[command(alias = "stat")]
    Info(WorkspaceInfo),
    /// Delete a file, or all files with a common prefix
    ///
    /// With --json, an object with the number of deleted files, as in {"deleted": 3}.
    #[command(alias = "rm", alias = "del")]
    Delete(WorkspaceDelete),
}

#[derive(Debug, Args)]
pub(crate) struct WorkspacePut {
    /// Name of the file in the workspace, such as reports/2026.pdf
    pub(crate) name: String,
    /// File on this machine; read from stdin if absent or `-`
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Media type, such as application/pdf
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// Description for people
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Further metadata; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) metadata: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceGet {
    /// Name of the file in the workspace
    pub(crate) name: String,
    /// File on this machine, which is created or replaced; `-` is stdout
    ///
    /// If absent, the content goes to stdout, unless stdout is a terminal. On a terminal, the content
    /// goes into a file in this directory, named after the part of NAME that follows the last `/`.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Replace an existing file in this directory even if FILE is absent
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceList {
    /// Only files whose names start with this prefix
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceInfo {
    /// Name of the file in the workspace
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["name", "prefix"])))]
pub(crate) struct WorkspaceDelete {
    /// Name of the file in the workspace
    pub(crate) name: Option<String>,
    /// Delete all files whose names start with this prefix
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}
