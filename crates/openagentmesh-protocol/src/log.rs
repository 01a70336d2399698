//! Structured log events.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One event on `mesh.logs.{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// When, as an RFC 3339 timestamp.
    pub timestamp: String,
    /// How important.
    pub level: LogLevel,
    /// The agent that it is about.
    pub agent: String,
    /// What happened, as one word: `agent_registered`, `request_failed`, …
    pub event: String,
    /// The request that it belongs to, if any.
    #[serde(default)]
    pub request_id: Option<String>,
    /// What happened, for people.
    #[serde(default)]
    pub message: String,
    /// More about it, by event.
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// The least important level that is published; also the level of one event.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Every request.
    Debug,
    /// What changes the mesh.
    #[default]
    Info,
    /// What failed for one caller.
    Warn,
    /// What failed for all.
    Error,
    /// Nothing.
    Off,
}

/// What the observability bucket holds at an agent's name or at `global`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// The least important level that is published.
    pub log_level: LogLevel,
}
