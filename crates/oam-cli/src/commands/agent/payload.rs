//! The input that is typed or piped for an agent.

use openagentmesh::{AgentName, Error};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::{shell, stdin};

/// What is repeated in a hint: more than this does not fit a line.
const SHORT: usize = 60;

/// An input as it was written, digit by digit; none for an agent that takes none.
pub(crate) struct Payload(Option<Box<RawValue>>);

impl Payload {
    /// The `argument`, or what is piped if it is absent or `-`. `verb` is the command's, for hints.
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

    /// What is sent.
    pub(crate) fn json(&self) -> Option<&RawValue> {
        self.0.as_deref()
    }

    /// What went wrong with a request that carried it. Where another verb fits, the hint is the command
    /// that was meant.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        let typed = match self.json().map(RawValue::get) {
            None => String::new(),
            Some(json) if json.len() <= SHORT && !json.contains('\n') => {
                format!(" {}", shell::word(json))
            }
            Some(_) => ", with the same input".to_owned(),
        };
        Failure::wrong_verb(&error, &typed).unwrap_or_else(|| error.into())
    }
}

fn parse(text: &str, verb: &str, agent: &AgentName) -> Result<Option<Box<RawValue>>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    RawValue::from_string(text.to_owned())
        .map(Some)
        .map_err(|error| {
            let is_bare_words = !text.starts_with(['{', '[', '"']) && !text.contains('\n');
            let failure = Failure::usage(format!("the payload is not JSON: {error}"));
            if is_bare_words {
                let quoted = Value::String(text.to_owned()).to_string();
                failure.hint(format!(
                    "a text has quotes of its own: oam agent {verb} {agent} {}",
                    shell::word(&quoted)
                ))
            } else {
                failure.hint("nothing was sent; put the JSON between single quotes in the shell")
            }
        })
}
