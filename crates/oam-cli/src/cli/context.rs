//! `oam context`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Store a mesh under a name
    ///
    /// Commands use it with --context NAME, programs with OAM_CONTEXT, and both after `oam context
    /// use NAME`. Nothing is connected to. The contexts are in ~/.agentmesh/contexts.toml, which only
    /// this user can read. A credentials file is not copied: its path is stored.
    ///
    /// With --json: "name", "url" (without its login), "login" (whether it has one), "creds",
    /// "description", "selected", and "file".
    Add(ContextAdd),
    /// Select the context that applies when nothing else names a mesh
    ///
    /// --url, --context, OAM_URL, OAM_CONTEXT and an .oam-url in or above the working directory go
    /// first; a note says so.
    ///
    /// With --json: "selected" and "previous", each a name or null.
    Use(ContextUse),
    /// List the contexts; a * marks the selected one
    ///
    /// With --json: an array of objects with the members of `oam context add`, without "file".
    #[command(visible_alias = "ls")]
    List,
    /// Print one context, or without a name the mesh that commands here use and the reason
    ///
    /// With --json: the members of `oam context add`. Without a name, "name" may be null, "source" is
    /// "option", "context", "oam_url", "oam_context", "file", "selected_context" or "default", and
    /// "file" is the .oam-url if that is the source.
    Show(ContextShow),
    /// Remove a context; its credentials file stays
    ///
    /// With --json: "removed", the name, and "selected", whether it was selected.
    #[command(visible_alias = "rm")]
    Remove(ContextRemove),
}

#[derive(Debug, Args)]
pub(crate) struct ContextAdd {
    /// Name of the context: letters, digits, hyphens, underscores and dots
    pub(crate) name: String,
    /// URL of the mesh, such as tls://mesh.example.com:4222; several servers with commas between them
    #[arg(value_name = "URL")]
    pub(crate) address: String,
    /// The credentials file of the context.
    #[arg(from_global)]
    pub(crate) creds: Option<PathBuf>,
    /// Text for people, which `oam context list` shows
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Replace a context of this name
    #[arg(long)]
    pub(crate) replace: bool,
    /// Select the context, as `oam context use` does
    #[arg(long = "use")]
    pub(crate) selects: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ContextUse {
    /// Name of the context
    #[arg(required_unless_present = "none")]
    pub(crate) name: Option<String>,
    /// Select none
    #[arg(long, conflicts_with = "name")]
    pub(crate) none: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ContextShow {
    /// Name of the context [default: the mesh that commands here use]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct ContextRemove {
    /// Name of the context
    pub(crate) name: String,
}
