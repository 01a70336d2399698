//! `oam agent`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::header::{Header, header};
use super::mesh::MeshCatalog;
use super::parse::duration;
use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// List the agents on the mesh, as `oam mesh catalog` does
    #[command(alias = "ls")]
    List(MeshCatalog),
    /// Print an agent's contract: its input and its output
    Contract(AgentContract),
    /// Call an agent and print its reply
    Call(AgentCall),
    /// Call a streaming agent and print each chunk of its reply as it arrives
    ///
    /// Ctrl-C, or a closed pipe as in `oam agent stream NAME | head`, also cancels the request at
    /// the agent.
    Stream(AgentStream),
    /// Send a request to an agent without waiting for its reply
    ///
    /// The command ends once the server has the request, and prints the id of the request. Whether a
    /// process serves the agent and succeeds is not reported: --wait prints the reply, and --reply-to sends
    /// it to a subject.
    ///
    /// With --json, an object with "agent" and "request_id"; with --wait, the reply.
    Send(AgentSend),
    /// Print the events of a publisher as they arrive
    ///
    /// The command ends with the publisher, or with Ctrl-C.
    Subscribe(AgentSubscribe),
}

#[derive(Debug, Args)]
pub(crate) struct AgentContract {
    /// Name of the agent, as listed in the catalog
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: ContractFormat,
    /// Rewrite the input schema for strict mode (with --format openai)
    #[arg(long)]
    pub(crate) strict: bool,
    /// URL at which a gateway answers A2A requests for this agent (with --format a2a)
    ///
    /// Without this option, the card has a placeholder below `gateway.invalid`, a name that never
    /// resolves.
    #[arg(long, value_name = "URL")]
    pub(crate) agent_url: Option<String>,
}

/// Output format of a contract.
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

/// The arguments of a request to an agent.
#[derive(Debug, Args)]
pub(crate) struct AgentRequest {
    /// Name of the agent, as listed in the catalog
    pub(crate) name: String,
    /// Input: JSON, @FILE, - for stdin, or members of an object as KEY=TEXT and KEY:=JSON
    ///
    /// JSON, or the JSON in a file (@FILE) or in stdin (- or @-). Stdin is also read without an argument,
    /// if it is not a terminal and the agent takes an input.
    ///
    /// Or the members of an object, one argument each. KEY=TEXT has the type that the contract says: a number,
    /// true or false, else text. KEY:=JSON is any value. KEY=@FILE is the text of a file, and KEY:=@FILE its JSON.
    /// A repeated KEY fills an array. Members of members are a.b=1, list[0].name=x or a[b]=1.
    #[arg(value_name = "INPUT", allow_negative_numbers = true)]
    pub(crate) input: Vec<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Add a header to the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<Header>,
    /// Edit the input in $VISUAL or $EDITOR before it is sent
    ///
    /// The editor starts with INPUT, else with an example. Nothing is sent if the text is unchanged or empty.
    #[arg(short, long)]
    pub(crate) edit: bool,
    /// Print an example of the input, made from the contract, and send nothing
    #[arg(long, conflicts_with_all = ["input", "headers", "edit"])]
    pub(crate) example: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentCall {
    #[command(flatten)]
    pub(crate) request: AgentRequest,
    /// Time that the command may take, reading stdin included: 500ms, 2m, or seconds
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct AgentStream {
    #[command(flatten)]
    pub(crate) request: AgentRequest,
    /// Time that the whole stream may take, reading stdin included [default: no limit, but 60s for each chunk]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct AgentSend {
    #[command(flatten)]
    pub(crate) request: AgentRequest,
    /// Time that the command may take, reading stdin and waiting included
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Wait for the reply, and print it
    #[arg(long)]
    pub(crate) wait: bool,
    /// Subject to which the agent sends its reply
    #[arg(long, value_name = "SUBJECT", conflicts_with = "wait")]
    pub(crate) reply_to: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AgentSubscribe {
    /// Name of the publisher, as listed in the catalog
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Time to wait for each event [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}
