//! Commands as hints, and the failures of fields that do not fit the contract.

use openagentmesh::AgentName;
use openagentmesh::protocol::Verb;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::input::{NoObject, Problem};
use crate::{schema, shell};

/// A longer command is not suggested.
const MAX_COMMAND_CHARS: usize = 400;

/// The command that sends the request, for hints.
pub(super) struct Command {
    pub(super) verb: Verb,
    pub(super) agent: AgentName,
    /// The arguments of the input.
    pub(super) arguments: Vec<String>,
}

impl Command {
    /// The command with another input.
    pub(super) fn with(&self, argument: &str) -> String {
        format!("{} {}", self.without_input(), shell::word(argument))
    }

    /// The command with a text as the input.
    pub(super) fn with_text(&self, text: &str) -> String {
        self.with(&Value::from(text).to_string())
    }

    pub(super) fn without_input(&self) -> String {
        format!("oam agent {} {}", self.verb.as_str(), self.agent)
    }

    pub(super) fn contract_hint(&self) -> String {
        format!("oam agent contract {} shows the input it takes", self.agent)
    }

    /// The arguments of the input as words of the shell, each after a space.
    pub(super) fn input(&self) -> String {
        words(&self.arguments)
    }
}

fn words<T: AsRef<str>>(arguments: &[T]) -> String {
    let words = arguments.iter().map(|word| shell::word(word.as_ref()));
    words.map(|word| format!(" {word}")).collect()
}

/// A problem in the form of the error `invalid_input`.
fn to_json(problem: &Problem) -> Value {
    json!({"location": problem.key, "message": problem.reason})
}

/// The failure of fields that make no object of `schema`.
pub(super) fn failure(error: NoObject, command: &Command, schema: &Value) -> Failure {
    let agent = &command.agent;
    match error {
        NoObject::NotTaken {
            expected,
            takes_text,
        } => {
            let message = format!(
                "invalid input for agent '{agent}': expected {expected}, not the members of an object"
            );
            let meant = match takes_text {
                true => command.with_text(&command.arguments.join(" ")),
                false => command.with(&schema::example(schema).to_string()),
            };
            Failure::usage(message).hint(meant)
        }
        NoObject::Problems(problems) => {
            let mut arguments = command.arguments.clone();
            let mut is_corrected = false;
            for problem in &problems {
                if let Some(meant) = &problem.meant
                    && let Some(argument) = arguments.get_mut(problem.index)
                    && let Some((key, value)) = argument.split_once('=')
                {
                    let colon = if key.ends_with(':') { ":" } else { "" };
                    *argument = format!("{meant}{colon}={value}");
                    is_corrected = true;
                }
            }
            let corrected = format!("{}{}", command.without_input(), words(&arguments));
            let mut failure = Failure::usage(format!("invalid input for agent '{agent}'"));
            failure
                .details
                .insert("errors".to_owned(), problems.iter().map(to_json).collect());
            let is_short = corrected.chars().count() <= MAX_COMMAND_CHARS;
            failure.hint(if is_corrected && is_short {
                corrected
            } else {
                command.contract_hint()
            })
        }
    }
}
