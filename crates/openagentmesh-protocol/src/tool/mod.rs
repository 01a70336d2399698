//! A contract as language models and other protocols read it.

mod a2a;
mod openai;
mod strict;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Contract;

pub use openai::OpenAiApi;

/// Longest tool name in bytes that the model providers accept.
const MAX_TOOL_NAME: usize = 64;

/// The property under which an input that is not an object travels to a model and back.
const WRAPPED_INPUT: &str = "input";

/// A tool definition that belongs to no provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSchema {
    /// The agent's name with every `.` as `_`.
    pub name: String,
    /// What the agent does, and the fields that it returns.
    pub description: String,
    /// JSON Schema of the input.
    pub input_schema: Value,
}

/// Why a contract cannot be a tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The agent answers no requests.
    #[error(
        "agent '{0}' cannot be a tool: it answers no requests; subscribe to its events instead"
    )]
    NotInvocable(String),
    /// The providers would refuse the name.
    #[error("agent '{0}' cannot be a tool: its name is longer than {MAX_TOOL_NAME} characters")]
    NameTooLong(String),
    /// A strict schema lists every property, and this one allows any.
    #[error(
        "the input of agent '{agent}' cannot be strict: {location} allows properties \
         that the schema does not name; use strict = false"
    )]
    NotStrict {
        /// The agent.
        agent: String,
        /// Where in the schema, as a JSON pointer.
        location: String,
    },
}

impl Contract {
    /// The tool definition that belongs to no provider.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInvocable`] for publishers and watchers, [`ToolError::NameTooLong`] when
    /// the name has more than 64 characters.
    pub fn to_tool(&self) -> Result<ToolSchema, ToolError> {
        if !self.capabilities.invocable {
            return Err(ToolError::NotInvocable(self.name.to_string()));
        }
        let name = self.name.as_str().replace('.', "_");
        if name.len() > MAX_TOOL_NAME {
            return Err(ToolError::NameTooLong(self.name.to_string()));
        }
        Ok(ToolSchema {
            name,
            description: self.tool_description(),
            input_schema: self
                .input_schema
                .clone()
                .unwrap_or_else(empty_object_schema),
        })
    }

    /// The tool definition for OpenAI's APIs.
    ///
    /// With `strict`, the schema is rewritten to what strict mode accepts: every property
    /// required, absent ones as `null`, no further properties, no value constraints.
    ///
    /// # Errors
    ///
    /// As [`Contract::to_tool`], and [`ToolError::NotStrict`] with `strict` when the input allows
    /// properties that its schema does not name.
    pub fn to_openai_tool(&self, api: OpenAiApi, strict: bool) -> Result<Value, ToolError> {
        let mut tool = self.to_object_tool()?;
        if strict {
            strict::clean(&mut tool.input_schema).map_err(|location| ToolError::NotStrict {
                agent: self.name.to_string(),
                location,
            })?;
        }
        Ok(openai::render(tool, api, strict))
    }

    /// The tool definition for Anthropic's Messages API.
    ///
    /// # Errors
    ///
    /// As [`Contract::to_tool`].
    pub fn to_anthropic_tool(&self) -> Result<Value, ToolError> {
        let ToolSchema {
            name,
            description,
            input_schema,
        } = self.to_object_tool()?;
        Ok(json!({"name": name, "description": description, "input_schema": input_schema}))
    }

    /// The payload to call the agent with, from the `arguments` that a model gave.
    ///
    /// Models give objects only. An agent whose input is anything else is offered to them as an
    /// object with the one property `input`, which is unwrapped here. Without an input the
    /// arguments are dropped.
    ///
    /// ```
    /// # use openagentmesh_protocol::Contract;
    /// # use serde_json::json;
    /// # let contract: Contract = serde_json::from_value(json!({"name": "echo",
    /// #     "skills": [{"inputSchema": {"type": "string"}}]}))?;
    /// // `contract` is that of an agent whose input is a string
    /// assert_eq!(contract.tool_payload(json!({"input": "hello"})), json!("hello"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn tool_payload(&self, arguments: Value) -> Value {
        match &self.input_schema {
            None => Value::Null,
            Some(schema) if is_object_schema(schema) => arguments,
            Some(_) => match arguments {
                Value::Object(mut map) => map.remove(WRAPPED_INPUT).unwrap_or(Value::Null),
                other => other,
            },
        }
    }

    /// The neutral tool with an input that providers accept: an object.
    fn to_object_tool(&self) -> Result<ToolSchema, ToolError> {
        let mut tool = self.to_tool()?;
        if !is_object_schema(&tool.input_schema) {
            tool.input_schema = wrap_input(tool.input_schema);
        }
        Ok(tool)
    }

    fn tool_description(&self) -> String {
        let fields: Vec<&str> = self
            .output_schema
            .as_ref()
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        if fields.is_empty() {
            self.description.clone()
        } else {
            format!("{}\nReturns: {}.", self.description, fields.join(", "))
        }
    }
}

fn empty_object_schema() -> Value {
    json!({"type": "object", "properties": {}})
}

fn is_object_schema(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

/// Definitions are referred to from the root of a schema, so they stay there.
fn wrap_input(mut input: Value) -> Value {
    let definitions = input
        .as_object_mut()
        .and_then(|schema| schema.remove("$defs"));
    let mut wrapped = Map::new();
    wrapped.insert("type".to_owned(), json!("object"));
    wrapped.insert("properties".to_owned(), json!({ WRAPPED_INPUT: input }));
    wrapped.insert("required".to_owned(), json!([WRAPPED_INPUT]));
    if let Some(definitions) = definitions {
        wrapped.insert("$defs".to_owned(), definitions);
    }
    Value::Object(wrapped)
}
