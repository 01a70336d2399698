//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Agents, tools and scripts that find and call each other as if they lived in one process.
#[derive(Debug, Parser)]
#[command(name = "oam", version, styles = STYLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a mesh with sample agents and call one of them
    Demo,
    /// Start and stop a local mesh, and look at the one you are connected to
    #[command(subcommand)]
    Mesh(MeshCommand),
    /// Look at one agent, and call it
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Read, write and watch the values that everybody on the mesh shares
    #[command(subcommand)]
    Kv(KvCommand),
    /// Put, get and list the files that everybody on the mesh shares
    #[command(subcommand)]
    Workspace(WorkspaceCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MeshCommand {
    /// Start a mesh on this machine
    ///
    /// Runs a nats-server in the background (it is installed into ~/.agentmesh/bin if there is
    /// none) and writes .oam-url into this directory, so that programs and commands started here
    /// or below find the mesh. Everything the mesh stores is gone after `oam mesh down`.
    Up(MeshUp),
    /// Stop the mesh that `oam mesh up` started
    Down,
    /// Name the mesh that commands and programs in this directory connect to
    ///
    /// Checks that it answers and writes .oam-url into this directory; programs and commands
    /// started here or below find the mesh.
    Connect(MeshConnect),
    /// List the agents on the mesh, and those that come and go
    Catalog(MeshCatalog),
    /// Print the messages on a subject as they pass by
    ///
    /// Everything on the mesh is a message: requests and events are on mesh.agent.NAME and
    /// mesh.agent.NAME.events, streamed replies on mesh.stream.ID, errors on mesh.errors.NAME.
    /// Ctrl-C ends it.
    Listen(MeshListen),
}

#[derive(Debug, Args)]
pub(crate) struct MeshUp {
    /// Port to listen on, on loopback; 0 lets the server choose
    #[arg(short, long, default_value_t = 4222)]
    pub(crate) port: u16,
    /// Stay in this terminal until Ctrl-C
    #[arg(short, long)]
    pub(crate) foreground: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MeshConnect {
    /// URL of the mesh, such as nats://127.0.0.1:4222
    pub(crate) url: String,
    /// NATS credentials file, which .oam-url then names too
    #[arg(long, value_name = "FILE")]
    pub(crate) creds: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MeshListen {
    /// The subject; `*` stands for one segment, `>` for all that follow (quote them in the shell)
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Seconds to wait for each message [default: for ever]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Print each message as a JSON object on one line
    ///
    /// It has the subject, the reply subject (if there is one), the headers (an object; a header
    /// that is repeated has an array) and the body: the value if it is JSON, else the text. A body
    /// that is not UTF-8 is base64, and "encoding": "base64" says so.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MeshCatalog {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only agents of this channel: those whose name starts with it
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// Only agents with this tag; may be repeated
    #[arg(long = "tag")]
    pub(crate) tags: Vec<String>,
    /// Only agents that give many values; with `=false`, only those that do not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) streaming: Option<bool>,
    /// Only agents that answer requests; with `=false`, only those that do not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) invocable: Option<bool>,
    /// Print each agent on one short line, for a language model to choose by
    #[arg(long)]
    pub(crate) compact: bool,
    /// Print the agents there are, then each that comes (+), changes (~) or goes (-)
    ///
    /// Ctrl-C ends it. With --json, each change is a JSON object on one line: "change" is "added",
    /// "changed" or "removed", and "agent" the agent's entry.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON instead of a table
    #[arg(long, conflicts_with = "compact")]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Print an agent's contract: what it takes, what it gives
    Contract(AgentContract),
    /// Call an agent and print its reply
    Call(AgentCall),
    /// Call an agent that streams and print each chunk of its reply as it arrives
    ///
    /// Ctrl-C, or a closed pipe as in `oam agent stream NAME | head`, ends the work at the agent too.
    Stream(AgentStream),
    /// Print the events of a publisher as they arrive
    ///
    /// Ends when the publisher does, or with Ctrl-C.
    Subscribe(AgentSubscribe),
}

#[derive(Debug, Args)]
pub(crate) struct AgentContract {
    /// The agent's name, as the catalog has it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// What to print it as
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: ContractFormat,
    /// Rewrite the input's schema to what strict mode accepts (with --format openai)
    #[arg(long)]
    pub(crate) strict: bool,
    /// Where a gateway answers A2A requests for this agent (with --format a2a)
    ///
    /// Without it, the card has a placeholder below `gateway.invalid`, a name that never exists.
    #[arg(long, value_name = "URL")]
    pub(crate) agent_url: Option<String>,
}

/// What a contract is printed as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ContractFormat {
    /// The document of the registry
    #[default]
    Json,
    /// A description for people
    Text,
    /// A tool for the chat API of OpenAI
    Openai,
    /// A tool for the messages API of Anthropic
    Anthropic,
    /// An agent card for A2A peers outside the mesh
    A2a,
}

#[derive(Debug, Args)]
pub(crate) struct AgentCall {
    /// The agent's name, as the catalog has it
    pub(crate) name: String,
    /// The input as JSON; read from stdin if it is absent or `-`
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) payload: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Seconds to wait for the reply
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print the reply over several lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentStream {
    /// The agent's name, as the catalog has it
    pub(crate) name: String,
    /// The input as JSON; read from stdin if it is absent or `-`
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) payload: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Seconds that the whole stream may take [default: no limit, but 60 for each chunk]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Print each chunk over several lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentSubscribe {
    /// The publisher's name, as the catalog has it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Seconds to wait for each event [default: for ever]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Print each event over several lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Print the value of a key
    ///
    /// The value's bytes as they are, and on a terminal a line break behind them.
    Get(KvGet),
    /// Put a value under a key, whatever was there
    Put(KvWrite),
    /// Put a value under a key that has none
    Create(KvWrite),
    /// Take the value of a key away
    Delete(KvDelete),
    /// List keys and their values
    List(KvList),
    /// Print the values there are, then every change as it comes
    ///
    /// Ctrl-C ends it.
    Watch(KvWatch),
}

#[derive(Debug, Args)]
pub(crate) struct KvGet {
    /// The key: letters, digits and -/_=, parted into segments by dots
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print a JSON object: the key, its revision, when it was written, and the value
    ///
    /// The value is a string: the text as it is, or base64 where it is not UTF-8, and then
    /// "encoding": "base64" says so.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KvWrite {
    /// The key: letters, digits and -/_=, parted into segments by dots
    pub(crate) key: String,
    /// The value; read from stdin, byte by byte as it is, if it is absent or `-`
    #[arg(allow_negative_numbers = true)]
    pub(crate) value: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the key and its new revision as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KvDelete {
    /// The key
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct KvList {
    /// Which keys; `*` stands for one segment, `>` for all that follow (quote them in the shell)
    #[arg(default_value = ">")]
    pub(crate) pattern: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON, with the values as `oam kv get --json` has them, instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KvWatch {
    /// Which keys; `*` stands for one segment, `>` for all that follow (quote them in the shell)
    #[arg(default_value = ">")]
    pub(crate) pattern: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Leave out the values that are there already
    #[arg(long)]
    pub(crate) updates_only: bool,
    /// Print each change as a JSON object on one line
    ///
    /// "change" is "put" or "deleted"; the rest is as in `oam kv get --json`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceCommand {
    /// Put a file into the workspace, in the place of what was there
    ///
    /// Others read the version before it until all of the new one is there.
    Put(WorkspacePut),
    /// Get a file from the workspace
    ///
    /// What comes is checked against what was put. A file on this machine stays as it was until
    /// all has come.
    Get(WorkspaceGet),
    /// List the files in the workspace
    List(WorkspaceList),
    /// Print what is known of a file
    Info(WorkspaceInfo),
    /// Delete a file, or all whose names begin alike
    Delete(WorkspaceDelete),
}

#[derive(Debug, Args)]
pub(crate) struct WorkspacePut {
    /// The name that it gets in the workspace, such as reports/2026.pdf
    pub(crate) name: String,
    /// The file on this machine; read from stdin if it is absent or `-`
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// What it is, such as application/pdf
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// What it is, in words
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// Something else that is to be known of it; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) metadata: Vec<(String, String)>,
    /// Print what is then known of it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceGet {
    /// The file's name in the workspace
    pub(crate) name: String,
    /// The file on this machine, which is replaced; `-` is stdout
    ///
    /// If it is absent: stdout where that is piped, and on a terminal a file of the same name in
    /// this directory, without what stands before the last `/`.
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Replace a file in this directory also if FILE does not name it
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceList {
    /// Only files whose names begin with it
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkspaceInfo {
    /// The file's name in the workspace
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["name", "prefix"])))]
pub(crate) struct WorkspaceDelete {
    /// The file's name in the workspace
    pub(crate) name: Option<String>,
    /// All files whose names begin with it
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Which mesh a command is for.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// URL of the mesh [default: OAM_URL, else the nearest .oam-url, else nats://localhost:4222]
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// NATS credentials file [default: OAM_CREDS, else what .oam-url names]
    #[arg(long, value_name = "FILE")]
    pub(crate) creds: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "write a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("write a number of seconds above 0".to_owned()),
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, as in author=ada".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definitions_hold() {
        super::Cli::command().debug_assert();
    }
}
