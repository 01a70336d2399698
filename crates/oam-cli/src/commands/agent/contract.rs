use openagentmesh::protocol::Verb;
use openagentmesh::protocol::tool::{OpenAiApi, ToolError};
use openagentmesh::{Contract, ErrorCode};
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::cli::{AgentContract, ContractFormat};
use crate::commands::connect;
use crate::failure::Failure;
use crate::json;
use crate::printer::Printer;
use crate::text::{on_one_line, printable};

pub(crate) async fn run(arguments: AgentContract, printer: &Printer) -> Result<(), Failure> {
    let format = arguments.format;
    refuse_what_does_not_fit(&arguments)?;
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
        ContractFormat::A2a => {
            let url = arguments.agent_url.unwrap_or_else(|| {
                printer.note(
                    "the url of the card is a placeholder; --agent-url URL says where a gateway \
                     answers for this agent",
                );
                // Nothing on the mesh answers A2A, and no name below .invalid ever exists.
                format!("https://gateway.invalid/{}", contract.name)
            });
            printer.json(&contract.to_a2a_card(&url))
        }
    }
}

fn refuse_what_does_not_fit(arguments: &AgentContract) -> Result<(), Failure> {
    let unfit = |option: &str, format: &str| {
        Failure::usage(format!("{option} is for --format {format} only"))
            .hint(format!("add --format {format}, or leave {option} out"))
    };
    if arguments.strict && arguments.format != ContractFormat::Openai {
        return Err(unfit("--strict", "openai"));
    }
    if arguments.agent_url.is_some() && arguments.format != ContractFormat::A2a {
        return Err(unfit("--agent-url", "a2a"));
    }
    Ok(())
}

/// Why a model cannot be given the agent, and what can be done with it instead.
fn not_a_tool(contract: &Contract, error: &ToolError) -> Failure {
    let name = &contract.name;
    match error {
        ToolError::NotInvocable(_) => {
            let message = format!("agent '{name}' cannot be a tool: it answers no requests");
            Failure::mesh(ErrorCode::InvocationMismatch, message).hint(
                match contract.capabilities.verb() {
                    Some(Verb::Subscribe) => {
                        format!("oam agent subscribe {name} prints its events")
                    }
                    _ => "oam mesh catalog --invocable lists the agents that can".to_owned(),
                },
            )
        }
        ToolError::NotStrict { location, .. } => Failure::mesh(
            ErrorCode::InvalidInput,
            format!(
                "the input of agent '{name}' cannot be strict: {location} allows properties that \
                 the schema does not name"
            ),
        )
        .hint("leave --strict out"),
        other => Failure::mesh(ErrorCode::InvalidInput, other.to_string())
            .hint("--format json has the contract as it is"),
    }
}

fn for_people(contract: &Contract, printer: &Printer) -> Result<(), Failure> {
    printer.title(contract.name.as_str());
    if !contract.description.is_empty() {
        printer.line(printable(&contract.description));
    }
    printer.line("");
    printer.field("Version", on_one_line(&contract.version));
    if !contract.tags.is_empty() {
        printer.field("Tags", on_one_line(&contract.tags.join(", ")));
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
    );
    let (input, output) = (&contract.input_schema, &contract.output_schema);
    if contract.capabilities.invocable {
        schema("Takes", input.as_ref(), "nothing", printer)?;
    }
    if contract.capabilities.streaming {
        let each = contract.chunk_schema.as_ref();
        return schema("Gives, one by one", each, "what is not described", printer);
    }
    if contract.capabilities.invocable {
        schema("Gives", output.as_ref(), "nothing", printer)?;
    }
    Ok(())
}

/// A part of the contract, or what is said `without` a schema.
fn schema(
    title: &str,
    schema: Option<&Value>,
    without: &str,
    printer: &Printer,
) -> Result<(), Failure> {
    printer.line("");
    printer.title(title);
    match schema {
        None => printer.line(without),
        Some(schema) => {
            let schema = to_raw_value(schema).map_err(json::impossible)?;
            printer.line(json::text(&schema, true));
        }
    }
    Ok(())
}
