//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand};

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
    /// List the agents on the mesh
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
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Print an agent's contract as JSON: what it takes, what it gives
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definitions_hold() {
        super::Cli::command().debug_assert();
    }
}
