//! `oam agent`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::parse::seconds;
use super::target::Target;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Print an agent's contract: its input and its output
    Contract(AgentContract),
    /// Call an agent and print its reply
    Call(AgentCall),
    /// Call a streaming agent and print each chunk of its reply as it arrives
    ///
    /// Ctrl-C, or a closed pipe as in `oam agent stream NAME | head`, also cancels the request at
    /// the agent.
    Stream(AgentStream),
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
    /// Input as JSON; read from stdin if `-`, or if absent and the agent takes an input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) payload: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct AgentCall {
    #[command(flatten)]
    pub(crate) request: AgentRequest,
    /// Seconds that the command may take, reading stdin included
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print the reply over several lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentStream {
    #[command(flatten)]
    pub(crate) request: AgentRequest,
    /// Seconds that the whole stream may take, reading stdin included [default: no limit, but 60 for each chunk]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Print each chunk over several lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentSubscribe {
    /// Name of the publisher, as listed in the catalog
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Seconds to wait for each event [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// Print each event over several lines
    #[arg(long)]
    pub(crate) json: bool,
}
