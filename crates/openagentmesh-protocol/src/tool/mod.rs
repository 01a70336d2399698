//! A contract as tool definition for language models, and as A2A agent card.

mod a2a;
mod openai;
mod schema;
mod strict;

use serde_json::{Map, Value, json};

use crate::Contract;

use schema::MAX_TOOL_NAME_BYTES;

pub use openai::OpenAiApi;
pub use schema::{ToolError, ToolSchema};

/// The property that wraps an input which is not an object: models pass objects only.
const WRAPPED_INPUT: &str = "input";

impl Contract {
    /// The provider-neutral tool definition.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInvocable`] for publishers and watchers; [`ToolError::NameTooLong`] if the
    /// name has more than 64 characters.
    pub fn to_tool(&self) -> Result<ToolSchema, ToolError> {
        if !self.capabilities.invocable {
            return Err(ToolError::NotInvocable(self.name.to_string()));
        }
        let name = self.name.as_str().replace('.', "_");
        if name.len() > MAX_TOOL_NAME_BYTES {
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
    /// With `strict`, the schema is rewritten for strict mode: every property is required, optional
    /// ones become nullable, and further properties and value constraints are removed.
    ///
    /// # Errors
    ///
    /// As [`Contract::to_tool`]; with `strict` also [`ToolError::NotStrict`] if the input allows
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

    /// The payload of a call, from the `arguments` of a model's tool call.
    ///
    /// Models pass objects only. If the agent's input is not an object, its tool definition wraps
    /// the input in the property `input`, and this function unwraps it. If the agent takes no
    /// input, the payload is `null`.
    ///
    /// ```
    /// # use openagentmesh_protocol::Contract;
    /// # use serde_json::json;
    /// # let contract: Contract = serde_json::from_value(json!({"name": "echo",
    /// #     "skills": [{"inputSchema": {"type": "string"}}]}))?;
    /// // The input of this contract's agent is a string.
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

    /// The neutral tool with an object as input, which providers require.
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

/// Wraps `input` in an object. `$defs` stay at the root, because references start there.
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
