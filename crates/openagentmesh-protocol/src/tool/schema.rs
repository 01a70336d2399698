//! The tool definition that all providers' definitions derive from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Maximum length of a tool name in bytes, which the model providers agree on.
pub(super) const MAX_TOOL_NAME_BYTES: usize = 64;

/// A provider-neutral tool definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSchema {
    /// The agent's name with every `.` replaced by `_`.
    pub name: String,
    /// The agent's description, followed by the fields of its output.
    pub description: String,
    /// JSON Schema of the input.
    pub input_schema: Value,
}

/// A contract cannot be expressed as a tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The agent is a publisher or a watcher, which answer no requests.
    #[error(
        "agent '{0}' cannot be a tool: it answers no requests; subscribe to its events instead"
    )]
    NotInvocable(String),
    /// The name is longer than the providers allow.
    #[error(
        "agent '{0}' cannot be a tool: its name is longer than {MAX_TOOL_NAME_BYTES} characters; register it under a shorter name"
    )]
    NameTooLong(String),
    /// The input allows properties that the schema does not name, which strict mode forbids.
    #[error(
        "the input of agent '{agent}' cannot be strict: {location} allows properties \
         that the schema does not name; use strict = false"
    )]
    NotStrict {
        /// The agent.
        agent: String,
        /// The location in the schema, as a JSON pointer.
        location: String,
    },
}
