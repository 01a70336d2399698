//! The JSON input of a request, from the command line or stdin.

use openagentmesh::{AgentName, Error};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::{shell, stdin};

/// A longer input is not repeated in a hint.
const MAX_HINT_BYTES: usize = 60;

/// The input with its original digits; `None` for an agent without input.
pub(crate) struct Payload(Option<Box<RawValue>>);

impl Payload {
    /// Parses the `argument`, or stdin if it is absent or `-`. `verb` is the command, for hints.
    pub(crate) async fn read(
        argument: Option<String>,
        verb: &str,
        agent: &AgentName,
    ) -> Result<Self, Failure> {
        let text = match argument.as_deref() {
            Some("-") => stdin::text().await?,
            Some(text) => text.to_owned(),
            None if stdin::is_terminal() => String::new(),
            None => stdin::text().await?,
        };
        parse(text.trim(), verb, agent).map(Self)
    }

    /// The payload of the request.
    pub(crate) fn json(&self) -> Option<&RawValue> {
        self.0.as_deref()
    }

    /// The failure of the request. If another verb fits the agent, the hint is the command to use.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        let arguments = match self.json().map(RawValue::get) {
            None => String::new(),
            Some(json) if json.len() <= MAX_HINT_BYTES && !json.contains('\n') => {
                format!(" {}", shell::word(json))
            }
            Some(_) => ", with the same input".to_owned(),
        };
        Failure::wrong_verb(&error, &arguments).unwrap_or_else(|| error.into())
    }
}

fn parse(text: &str, verb: &str, agent: &AgentName) -> Result<Option<Box<RawValue>>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    RawValue::from_string(text.to_owned())
        .map(Some)
        .map_err(|error| {
            let is_unquoted_text = !text.starts_with(['{', '[', '"']) && !text.contains('\n');
            let failure = Failure::usage(format!("invalid JSON input: {error}"));
            if is_unquoted_text {
                let quoted = Value::String(text.to_owned()).to_string();
                failure.hint(format!(
                    "JSON text needs double quotes: oam agent {verb} {agent} {}",
                    shell::word(&quoted)
                ))
            } else {
                failure.hint("nothing was sent; put the JSON between single quotes in the shell")
            }
        })
}
