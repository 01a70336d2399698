//! `oam tools`: the agents of the mesh as tools, in one document.

use std::collections::BTreeMap;

use openagentmesh::protocol::tool::ToolError;
use openagentmesh::{AgentName, OpenAiApi, Toolset};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{Tools, ToolsFormat};
use crate::connection::connect;
use crate::failure::Failure;
use crate::printer::Printer;

/// Limit of the tools that OpenAI's chat API takes in one request.
const MAX_CHAT_TOOLS: usize = 128;

#[derive(Serialize)]
struct Document<'a> {
    tools: Vec<Value>,
    agents: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    skipped: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    not_strict: BTreeMap<&'a str, String>,
}

pub(crate) async fn run(arguments: Tools, printer: &Printer) -> Result<(), Failure> {
    let format = arguments.format;
    let is_openai = matches!(format, ToolsFormat::Openai | ToolsFormat::OpenaiResponses);
    if arguments.strict && !is_openai {
        return Err(
            Failure::usage("--strict requires --format openai or openai-responses")
                .hint("add --format openai, or leave --strict out"),
        );
    }
    let mesh = connect(arguments.target).await?;
    let mut query = mesh.tools().tags(arguments.tags);
    if let Some(channel) = arguments.channel {
        query = query.channel(channel);
    }
    let tools = query.await?;
    let not_strict = if arguments.strict {
        tools.not_strict()
    } else {
        Vec::new()
    };
    printer.json(&Document {
        tools: definitions(&tools, format, arguments.strict),
        agents: tools
            .names()
            .map(|(tool, agent)| (tool, agent.as_str()))
            .collect(),
        skipped: reasons(tools.skipped()),
        not_strict: reasons(not_strict.iter().map(|(name, error)| (*name, error))),
    })?;
    if tools.is_empty() {
        printer.note("no agent that answers requests matches");
    }
    if format == ToolsFormat::Openai && tools.len() > MAX_CHAT_TOOLS {
        printer.note(format!(
            "{} tools: the chat API of OpenAI takes {MAX_CHAT_TOOLS} in one request; --channel and \
             --tag select fewer",
            tools.len()
        ));
    }
    Ok(())
}

fn definitions(tools: &Toolset, format: ToolsFormat, strict: bool) -> Vec<Value> {
    let openai = |api| {
        if strict {
            tools.openai_strict(api)
        } else {
            tools.openai(api)
        }
    };
    match format {
        ToolsFormat::Openai => openai(OpenAiApi::Chat),
        ToolsFormat::OpenaiResponses => openai(OpenAiApi::Responses),
        ToolsFormat::Anthropic => tools.anthropic(),
        ToolsFormat::Neutral => tools
            .neutral()
            .into_iter()
            .map(|tool| json!(tool))
            .collect(),
    }
}

fn reasons<'a>(
    errors: impl Iterator<Item = (&'a AgentName, &'a ToolError)>,
) -> BTreeMap<&'a str, String> {
    errors
        .map(|(name, error)| (name.as_str(), error.to_string()))
        .collect()
}
