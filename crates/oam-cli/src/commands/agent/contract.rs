use openagentmesh::protocol::Verb;
use openagentmesh::protocol::tool::{OpenAiApi, ToolError};
use openagentmesh::{Contract, ErrorCode};
use serde_json::Value;

use crate::cli::{AgentContract, ContractFormat};
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::text::{on_one_line, printable};

pub(crate) async fn run(arguments: AgentContract, printer: &Printer) -> Result<(), Failure> {
    let format = arguments.format;
    check_options(&arguments)?;
    let mesh = connect(arguments.target).await?;
    let contract = mesh.contract(&arguments.name).await?;
    let not_a_tool = |error| not_a_tool(&contract, &error);
    match format {
        ContractFormat::Json => printer.json(&contract),
        ContractFormat::Text => for_people(&contract, printer),
        ContractFormat::Openai => {
            let tool = contract.to_openai_tool(OpenAiApi::Chat, arguments.strict);
            printer.json(&tool.map_err(not_a_tool)?)
        }
        ContractFormat::Anthropic => {
            printer.json(&contract.to_anthropic_tool().map_err(not_a_tool)?)
        }
        ContractFormat::A2a if !contract.capabilities.invocable => Err(not_a_tool(
            ToolError::NotInvocable(contract.name.to_string()),
        )),
        ContractFormat::A2a => {
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

fn check_options(arguments: &AgentContract) -> Result<(), Failure> {
    let mismatch = |option: &str, format: &str| {
        Failure::usage(format!("{option} requires --format {format}"))
            .hint(format!("add --format {format}, or leave {option} out"))
    };
    if arguments.strict && arguments.format != ContractFormat::Openai {
        return Err(mismatch("--strict", "openai"));
    }
    if arguments.agent_url.is_some() && arguments.format != ContractFormat::A2a {
        return Err(mismatch("--agent-url", "a2a"));
    }
    Ok(())
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
            .hint("--format json prints the contract unchanged"),
    }
}

fn for_people(contract: &Contract, printer: &Printer) -> Result<(), Failure> {
    printer.title(contract.name.as_str())?;
    if !contract.description.is_empty() {
        printer.line(printable(&contract.description))?;
    }
    printer.line("")?;
    printer.field("Version", on_one_line(&contract.version))?;
    if !contract.tags.is_empty() {
        printer.field("Tags", on_one_line(&contract.tags.join(", ")))?;
    }
    let name = &contract.name;
    let input = match contract.input_schema {
        Some(_) => " JSON",
        None => "",
    };
    printer.field(
        "Use",
        match contract.capabilities.verb() {
            Some(Verb::Call) => format!("oam agent call {name}{input}"),
            Some(Verb::Stream) => format!("oam agent stream {name}{input}"),
            Some(Verb::Subscribe) => format!("oam agent subscribe {name}"),
            _ => "none: it works in the background".to_owned(),
        },
    )?;
    let (input, output) = (&contract.input_schema, &contract.output_schema);
    if contract.capabilities.invocable {
        schema("Takes", input.as_ref(), "nothing", printer)?;
    }
    if contract.capabilities.streaming {
        let each = contract.chunk_schema.as_ref();
        return schema(
            "Gives, one by one",
            each,
            "values without a schema",
            printer,
        );
    }
    if contract.capabilities.invocable {
        schema("Gives", output.as_ref(), "nothing", printer)?;
    }
    Ok(())
}

/// A section of the contract, with the text `without` if it has no schema.
fn schema(
    title: &str,
    schema: Option<&Value>,
    without: &str,
    printer: &Printer,
) -> Result<(), Failure> {
    printer.line("")?;
    printer.title(title)?;
    match schema {
        None => printer.line(without),
        Some(schema) => printer.json(schema),
    }
}
