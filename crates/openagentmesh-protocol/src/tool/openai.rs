use serde_json::{Value, json};

use super::ToolSchema;

/// Which of OpenAI's APIs a tool definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenAiApi {
    /// Chat Completions: the function stands in a block of its own.
    Chat,
    /// Responses: the function's fields stand at the top.
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
