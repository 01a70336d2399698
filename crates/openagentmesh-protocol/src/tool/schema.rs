//! The tool definition that all providers' definitions derive from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Limit of the characters of a tool name, which the model providers agree on.
pub(super) const MAX_TOOL_NAME: usize = 64;

/// A provider-neutral tool definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolSchema {
    /// The name by which a model calls the tool: at most 64 letters, digits, `_` and `-`.
    pub name: String,
    /// The agent's description, followed by the fields of its output.
    pub description: String,
    /// JSON Schema of the arguments: an object with `properties`.
    pub input_schema: Value,
}

/// A contract cannot be expressed as a tool or as an agent card, or arguments cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// The agent is a publisher or a watcher, which answer no requests.
    #[error(
        "agent '{0}' cannot be a tool or have a card: it answers no requests; subscribe to its events instead"
    )]
    NotInvocable(String),
    /// The name is longer than the providers allow.
    #[error(
        "agent '{0}' cannot be a tool: its name is longer than {MAX_TOOL_NAME} characters; register it under a shorter name"
    )]
    NameTooLong(String),
    /// The input schema is not a schema that can be converted.
    #[error("agent '{agent}' cannot be a tool: its input schema is invalid: {location} {reason}")]
    InvalidSchema {
        /// The agent.
        agent: String,
        /// The location in the input schema, as a JSON pointer.
        location: String,
        /// The reason, as the rest of a sentence that begins with the location.
        reason: String,
    },
    /// The input cannot be expressed by the keywords that strict mode has.
    #[error(
        "the input of agent '{agent}' cannot be strict: {location} {reason}; use strict = false"
    )]
    NotStrict {
        /// The agent.
        agent: String,
        /// The location in the input schema, as a JSON pointer.
        location: String,
        /// The reason, as the rest of a sentence that begins with the location.
        reason: String,
    },
    /// The arguments of a tool call are not JSON.
    #[error("invalid arguments for agent '{agent}': {reason}")]
    InvalidArguments {
        /// The agent.
        agent: String,
        /// The reason, with a remedy.
        reason: String,
    },
}
