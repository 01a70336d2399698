//! A contract as tool definition for language models, and as A2A agent card.
//!
//! [`Contract::tool`] makes a [`Tool`], which has a form for each provider. [`Contract::tool_input`] is the
//! way back: the input of the agent, from the arguments that a model wrote.

mod a2a;
mod arguments;
mod circle;
mod definition;
mod description;
mod document;
mod fit;
mod keyword;
mod names;
mod openai;
mod problem;
mod reference;
mod schema;
mod strict;
mod wrap;

use serde_json::Value;

use crate::Contract;

use document::Document;
use wrap::is_wrapped;

pub use definition::Tool;
pub use names::unique_names;
pub use openai::OpenAiApi;
pub use schema::{ToolError, ToolSchema};

impl Contract {
    /// The agent as a tool, under its own name with every `.` replaced by `_`.
    ///
    /// ```
    /// # use openagentmesh_protocol::Contract;
    /// # let contract: Contract = serde_json::from_str(r#"{"name": "text.count"}"#)?;
    /// let tool = contract.tool()?;
    /// assert_eq!(tool.name(), "text_count");
    /// assert_eq!(tool.anthropic()["input_schema"]["type"], "object");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInvocable`] for publishers and watchers; [`ToolError::NameTooLong`] if the
    /// name has more than 64 characters; [`ToolError::InvalidSchema`] if the input schema is malformed, too
    /// large, refers to a schema outside of it, or refers to itself for the same value.
    pub fn tool(&self) -> Result<Tool, ToolError> {
        Tool::new(self, names::plain(&self.name))
    }

    /// The agent as a tool, under the name `name`, such as one of [`unique_names`].
    ///
    /// # Errors
    ///
    /// As [`Contract::tool`].
    pub fn tool_named(&self, name: impl Into<String>) -> Result<Tool, ToolError> {
        Tool::new(self, name.into())
    }

    /// The provider-neutral tool definition: [`Tool::neutral`] of [`Contract::tool`].
    ///
    /// # Errors
    ///
    /// As [`Contract::tool`].
    pub fn to_tool(&self) -> Result<ToolSchema, ToolError> {
        Ok(self.tool()?.neutral())
    }

    /// The tool definition for OpenAI's APIs.
    ///
    /// With `strict`, the schema has only the keywords that OpenAI documents for strict schemas. Every
    /// property is required, and optional ones are nullable: [`Contract::tool_input`] drops their nulls.
    /// Every value that fits the strict schema then fits the input schema.
    ///
    /// # Errors
    ///
    /// As [`Contract::tool`]; with `strict` also [`ToolError::NotStrict`] if strict keywords do not express
    /// the input, for example an object with any properties, or a set of unique items.
    pub fn to_openai_tool(&self, api: OpenAiApi, strict: bool) -> Result<Value, ToolError> {
        let tool = self.tool()?;
        if strict {
            tool.openai_strict(api)
        } else {
            Ok(tool.openai(api))
        }
    }

    /// The tool definition for Anthropic's Messages API.
    ///
    /// # Errors
    ///
    /// As [`Contract::tool`].
    pub fn to_anthropic_tool(&self) -> Result<Value, ToolError> {
        Ok(self.tool()?.anthropic())
    }

    /// The input of a call, from the text that a model wrote as the arguments of a tool call.
    ///
    /// An empty text and `null` are no arguments. JSON in a Markdown code block and JSON in a JSON string
    /// are understood. The arguments are then converted as by [`Contract::tool_payload`]. The input is not
    /// validated.
    ///
    /// ```
    /// # use openagentmesh_protocol::Contract;
    /// # use serde_json::{Value, json};
    /// # let trigger: Contract = serde_json::from_str(r#"{"name": "trigger"}"#)?;
    /// # let quote: Contract = serde_json::from_value(json!({"name": "quote", "skills": [{"inputSchema": {
    /// #     "type": "object", "properties": {"grams": {"type": "integer"}, "express": {"type": "boolean"}},
    /// #     "required": ["grams"]}}]}))?;
    /// // The agent `trigger` takes no input; the property `express` of `quote` is optional.
    /// assert_eq!(trigger.tool_input("")?, Value::Null);
    /// assert_eq!(quote.tool_input(r#"{"grams": 1200, "express": null}"#)?, json!({"grams": 1200}));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ToolError::InvalidArguments`] if `arguments` is not JSON, or has an integer of more than 64 bits.
    pub fn tool_input(&self, arguments: &str) -> Result<Value, ToolError> {
        let arguments =
            arguments::parse(arguments).map_err(|reason| ToolError::InvalidArguments {
                agent: self.name.to_string(),
                reason,
            })?;
        Ok(self.tool_payload(arguments))
    }

    /// The payload of a call, from the `arguments` of a model's tool call.
    ///
    /// If the tool's definition wraps the input in the property `input`, this function unwraps it. A null is
    /// dropped where the input schema does not allow null and the property is optional. If the agent takes
    /// no input, the payload is `null`.
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
        let Some(schema) = &self.input_schema else {
            return Value::Null;
        };
        let mut input = arguments::unwrap(arguments, is_wrapped(schema));
        // An invalid schema says nothing of nulls, and validation reports it.
        if let Ok(document) = Document::read(schema, false) {
            arguments::drop_nulls(&mut input, &document);
        }
        input
    }
}
