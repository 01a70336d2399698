//! Contracts as the definitions of tools, and as cards.

use openagentmesh::AgentName;
use openagentmesh::OpenAiApi;
use openagentmesh::protocol::Contract;
use openagentmesh::protocol::tool::{ToolError, unique_names};
use openagentmesh::serde_json::{self, Value};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{self, invalid};
use crate::objects::to_json;

/// The contract as a tool definition of a model provider.
#[pyfunction]
#[pyo3(signature = (contract, kind, strict = false))]
pub(crate) fn tool_definition<'py>(
    py: Python<'py>,
    contract: &[u8],
    kind: &str,
    strict: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let contract = parse(py, contract)?;
    let definition = match kind {
        "neutral" => contract.to_tool().and_then(|tool| {
            serde_json::to_value(tool)
                .map_err(|_| ToolError::NotInvocable(contract.name.to_string()))
        }),
        "anthropic" => contract.to_anthropic_tool(),
        "openai_chat" => contract.to_openai_tool(OpenAiApi::Chat, strict),
        "openai_responses" => contract.to_openai_tool(OpenAiApi::Responses, strict),
        _ => {
            return Err(PyValueError::new_err(format!(
                "invalid kind '{kind}': neutral, anthropic, openai_chat and openai_responses are allowed"
            )));
        }
    };
    json(py, definition)
}

/// The payload of a call, from the arguments of a model's tool call.
#[pyfunction]
pub(crate) fn tool_payload<'py>(
    py: Python<'py>,
    contract: &[u8],
    arguments: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let contract = parse(py, contract)?;
    json(py, contract.tool_input(&String::from_utf8_lossy(arguments)))
}

/// A tool name for each agent name.
#[pyfunction]
pub(crate) fn tool_names(py: Python<'_>, names: Vec<String>) -> PyResult<Vec<String>> {
    let names: Result<Vec<AgentName>, _> = names.iter().map(AgentName::new).collect();
    let names = names.map_err(|error| errors::exception(py, &error.into()))?;
    Ok(unique_names(&names))
}

/// The contract as an A2A agent card.
#[pyfunction]
#[pyo3(signature = (contract, url = None))]
pub(crate) fn agent_card<'py>(
    py: Python<'py>,
    contract: &[u8],
    url: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let contract = parse(py, contract)?;
    json(py, contract.to_a2a_card(url.unwrap_or_default()))
}

fn parse(py: Python<'_>, contract: &[u8]) -> PyResult<Contract> {
    serde_json::from_slice(contract)
        .map_err(|error| errors::exception(py, &invalid(format!("invalid contract: {error}"))))
}

fn json<'py>(py: Python<'py>, definition: Result<Value, ToolError>) -> PyResult<Bound<'py, PyAny>> {
    match definition {
        Ok(definition) => to_json(py, &definition),
        Err(error) => Err(errors::exception(py, &invalid(error.to_string()))),
    }
}
