//! Structured log events.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One event on `mesh.logs.{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    /// Time of the event, as an RFC 3339 timestamp.
    pub timestamp: String,
    /// Severity.
    pub level: LogLevel,
    /// The agent concerned.
    pub agent: String,
    /// Kind of event: `agent_registered`, `request_failed`, …
    pub event: String,
    /// The request concerned, if any.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Message for people.
    #[serde(default)]
    pub message: String,
    /// Details that depend on the kind of event.
    #[serde(default)]
    pub data: Map<String, Value>,
}

/// Severity of a log event, and the minimum severity to publish.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Events of every request.
    Debug,
    /// Changes of the mesh, such as registrations.
    #[default]
    Info,
    /// Failures that concern one caller.
    Warn,
    /// Failures that concern every caller.
    Error,
    /// Publishes no events.
    Off,
}

/// The value of the observability bucket at an agent's name or at `global`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// The minimum severity to publish.
    pub log_level: LogLevel,
}
