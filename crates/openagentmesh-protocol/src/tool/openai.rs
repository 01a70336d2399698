//! Tool definitions for OpenAI's APIs.

use serde_json::{Value, json};

use super::schema::ToolSchema;

/// The OpenAI API that a tool definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenAiApi {
    /// Chat Completions: the function is a nested object.
    Chat,
    /// Responses: the function's fields are at the top level.
    Responses,
}

pub(super) fn render(tool: ToolSchema, api: OpenAiApi, strict: bool) -> Value {
    let mut function = json!({
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
    });
    if strict {
        function["strict"] = json!(true);
    }
    match api {
        OpenAiApi::Chat => json!({"type": "function", "function": function}),
        OpenAiApi::Responses => {
            function["type"] = json!("function");
            function
        }
    }
}
