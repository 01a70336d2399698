//! The options that every command has, before and after its name.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// The options of every command. A command reads those of the mesh as its [`Target`](super::Target), and those of the
/// output through its printer.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// URL of the mesh [default: OAM_URL, else the context OAM_CONTEXT, else the nearest .oam-url, else the context of
    /// `oam context use`, else nats://localhost:4222]
    #[arg(long, global = true, help_heading = MESH)]
    pub(crate) url: Option<String>,
    /// Name of a context, in place of --url: a mesh with its credentials, from `oam context add`
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        conflicts_with = "url",
        help_heading = MESH
    )]
    pub(crate) context: Option<String>,
    /// NATS credentials file [default: that of --context, else OAM_CREDS, else that of the context or .oam-url]
    #[arg(long, global = true, value_name = "FILE", help_heading = MESH)]
    pub(crate) creds: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Log more to stderr: -v the events of the connection, -vv each exchange; RUST_LOG goes first
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    pub(crate) verbose: u8,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Output {
    /// Print JSON on one line, or one line for each result as it arrives; errors and notes too
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) json: bool,
    /// Print JSON over several lines
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) pretty: bool,
    /// Print results and errors only, without notes, hints and progress
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub(crate) quiet: bool,
    /// Print all columns of a table whole, also if the terminal is narrower
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) wide: bool,
}

const MESH: &str = "Mesh";
const OUTPUT: &str = "Output";
