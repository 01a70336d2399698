//! A contract as a tool, in the form of each provider.

use serde_json::{Map, Value, json};

use super::description::Description;
use super::document::Document;
use super::openai::{self, OpenAiApi};
use super::problem::{Problem, below};
use super::schema::{MAX_TOOL_NAME, ToolError, ToolSchema};
use super::strict;
use super::wrap::{WRAPPED_INPUT, is_wrapped};
use crate::Contract;

/// An agent as a tool for language models; made by [`Contract::tool`].
///
/// The parameters of a tool are an object with `properties`. An input of another kind is the property
/// `input` of such an object: a scalar, a combination of schemas at the root, or an object with names that
/// providers refuse. [`Contract::tool_input`] unwraps arguments by the same rule.
pub struct Tool {
    agent: String,
    name: String,
    description: Description,
    parameters: Document,
    is_wrapped: bool,
}

impl Tool {
    pub(super) fn new(contract: &Contract, name: String) -> Result<Self, ToolError> {
        let agent = contract.name.to_string();
        if !contract.capabilities.invocable {
            return Err(ToolError::NotInvocable(agent));
        }
        if name.len() > MAX_TOOL_NAME {
            return Err(ToolError::NameTooLong(agent));
        }
        let schema = contract.input_schema.as_ref();
        let is_wrapped = schema.is_some_and(is_wrapped);
        let parameters = schema.map_or_else(
            || Ok(Document::without_input()),
            |schema| Document::read(schema, is_wrapped),
        );
        let mut parameters = parameters.map_err(|problem| ToolError::InvalidSchema {
            agent: agent.clone(),
            location: shown(&problem.location),
            reason: problem.reason,
        })?;
        if is_wrapped {
            parameters = parameters.wrap(WRAPPED_INPUT);
        }
        parameters.root.insert("type".to_owned(), json!("object"));
        Ok(Self {
            agent,
            name,
            description: Description::of(contract),
            parameters,
            is_wrapped,
        })
    }

    /// The name by which a model calls the tool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the parameters are an object around the input.
    #[must_use]
    pub fn is_wrapped(&self) -> bool {
        self.is_wrapped
    }

    /// The provider-neutral definition.
    #[must_use]
    pub fn neutral(&self) -> ToolSchema {
        ToolSchema {
            name: self.name.clone(),
            description: self.description.whole(),
            input_schema: self.loose_parameters(),
        }
    }

    /// The definition for Anthropic's Messages API.
    #[must_use]
    pub fn anthropic(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description.whole(),
            "input_schema": self.loose_parameters(),
        })
    }

    /// The definition for one of OpenAI's APIs, not strict.
    #[must_use]
    pub fn openai(&self, api: OpenAiApi) -> Value {
        openai::render(
            &self.name,
            &self.description,
            self.loose_parameters(),
            api,
            false,
        )
    }

    /// The strict definition for one of OpenAI's APIs.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotStrict`] if no strict schema expresses the input.
    pub fn openai_strict(&self, api: OpenAiApi) -> Result<Value, ToolError> {
        let form = strict::convert(&self.parameters).map_err(|problem| self.not_strict(problem))?;
        Ok(openai::render(
            &self.name,
            &self.description,
            form,
            api,
            true,
        ))
    }

    fn not_strict(&self, problem: Problem) -> ToolError {
        let mut location = problem.location.as_str();
        if self.is_wrapped {
            let input = match &self.parameters.root_definition {
                Some(name) => below("/$defs", name),
                None => format!("/properties/{WRAPPED_INPUT}"),
            };
            location = location.strip_prefix(&input).unwrap_or(location);
        }
        ToolError::NotStrict {
            agent: self.agent.clone(),
            location: shown(location),
            reason: problem.reason,
        }
    }

    /// The parameters with every keyword of the input schema.
    fn loose_parameters(&self) -> Value {
        let mut schema = self.parameters.to_schema();
        if let Value::Object(root) = &mut schema {
            root.entry("properties")
                .or_insert_with(|| Value::Object(Map::new()));
        }
        schema
    }
}

fn shown(location: &str) -> String {
    if location.is_empty() {
        "the input itself".to_owned()
    } else {
        location.to_owned()
    }
}
