use openagentmesh::protocol::Verb;
use openagentmesh::protocol::tool::{OpenAiApi, ToolError};
use openagentmesh::{Contract, ErrorCode};

use super::{describe, missing};
use crate::cli::{AgentContract, ContractFormat};
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::printable;

pub(crate) async fn run(arguments: AgentContract, printer: &Printer) -> Result<(), Failure> {
    let format = format(&arguments, printer)?;
    let mesh = connect(arguments.target).await?;
    let contract = match mesh.contract(&arguments.name).await {
        Ok(contract) => contract,
        Err(error) => return Err(missing::failure(error, &mesh, &arguments.name).await),
    };
    let not_a_tool = |error| not_a_tool(&contract, &error);
    match format {
        None => describe::print(&contract, printer),
        Some(ContractFormat::Json) => printer.json(&contract),
        Some(ContractFormat::Text) => as_text(&contract, printer),
        Some(ContractFormat::Openai) => {
            let tool = contract.to_openai_tool(OpenAiApi::Chat, arguments.strict);
            printer.json(&tool.map_err(not_a_tool)?)
        }
        Some(ContractFormat::Anthropic) => {
            printer.json(&contract.to_anthropic_tool().map_err(not_a_tool)?)
        }
        Some(ContractFormat::A2a) if !contract.capabilities.invocable => Err(not_a_tool(
            ToolError::NotInvocable(contract.name.to_string()),
        )),
        Some(ContractFormat::A2a) => {
            let url = arguments.agent_url.unwrap_or_else(|| {
                printer.note(
                    "the url of the card is a placeholder; --agent-url URL sets the URL at which a \
                     gateway answers for this agent",
                );
                // No process on the mesh answers A2A, and names below .invalid never resolve.
                format!("https://gateway.invalid/{}", contract.name)
            });
            printer.json(&contract.to_a2a_card(&url).map_err(not_a_tool)?)
        }
    }
}

/// The form of the output; `None` for people.
fn format(arguments: &AgentContract, printer: &Printer) -> Result<Option<ContractFormat>, Failure> {
    let mismatch = |option: &str, format: &str| {
        Failure::usage(format!("{option} requires --format {format}"))
            .hint(format!("add --format {format}, or leave {option} out"))
    };
    let format = match arguments.format {
        None if arguments.text => Some(ContractFormat::Text),
        None if printer.is_json() => Some(ContractFormat::Json),
        given => given,
    };
    if format == Some(ContractFormat::Text) && printer.is_json() {
        return Err(Failure::usage("the text form of a contract cannot be JSON")
            .hint(format!("oam agent contract {} --json", arguments.name)));
    }
    if arguments.strict && format != Some(ContractFormat::Openai) {
        return Err(mismatch("--strict", "openai"));
    }
    if arguments.agent_url.is_some() && format != Some(ContractFormat::A2a) {
        return Err(mismatch("--agent-url", "a2a"));
    }
    Ok(format)
}

/// The error of an agent that cannot be a tool or have a card, with an alternative as the hint.
fn not_a_tool(contract: &Contract, error: &ToolError) -> Failure {
    let name = &contract.name;
    match error {
        ToolError::NotInvocable(_) => {
            let message = format!(
                "agent '{name}' cannot be a tool or have a card: the agent answers no requests"
            );
            Failure::mesh(ErrorCode::InvocationMismatch, message).hint(
                match contract.capabilities.verb() {
                    Some(Verb::Subscribe) => {
                        format!("oam agent subscribe {name} prints its events")
                    }
                    _ => {
                        "oam mesh catalog --invocable lists the agents that can be tools".to_owned()
                    }
                },
            )
        }
        ToolError::NotStrict {
            location, reason, ..
        } => Failure::mesh(
            ErrorCode::InvalidInput,
            format!("the input of agent '{name}' cannot be strict: {location} {reason}"),
        )
        .hint("leave --strict out"),
        other => Failure::mesh(ErrorCode::InvalidInput, other.to_string())
            .hint("--json prints the contract unchanged"),
    }
}

/// The lines that the published command line prints with `--text`.
fn as_text(contract: &Contract, printer: &Printer) -> Result<(), Failure> {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let mut lines = vec![
        ("name", contract.name.to_string()),
        ("description", printable(&contract.description)),
        ("version", printable(&contract.version)),
        ("streaming", yes(contract.capabilities.streaming).to_owned()),
        ("invocable", yes(contract.capabilities.invocable).to_owned()),
    ];
    if !contract.tags.is_empty() {
        lines.push(("tags", printable(&contract.tags.join(", "))));
    }
    lines.into_iter().try_for_each(|(name, value)| {
        let name = format!("{name}:");
        printer.line(format!("{name:<13}{value}"))
    })
}
