//! Tool definitions for OpenAI's APIs.

use serde_json::{Value, json};

use super::description::Description;

/// Limit of the characters of a tool's description.
const MAX_DESCRIPTION: usize = 1_024;

/// The OpenAI API that a tool definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenAiApi {
    /// Chat Completions: the function is a nested object.
    Chat,
    /// Responses: the function's fields are at the top level.
    Responses,
}

pub(super) fn render(
    name: &str,
    description: &Description,
    parameters: Value,
    api: OpenAiApi,
    strict: bool,
) -> Value {
    let mut function = json!({
        "name": name,
        "description": description.within(MAX_DESCRIPTION),
        "parameters": parameters,
    });
    // The Responses API takes a tool that does not say for strict.
    if strict || api == OpenAiApi::Responses {
        function["strict"] = json!(strict);
    }
    match api {
        OpenAiApi::Chat => json!({"type": "function", "function": function}),
        OpenAiApi::Responses => {
            function["type"] = json!("function");
            function
        }
    }
}
