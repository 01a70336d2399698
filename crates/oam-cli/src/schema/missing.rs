//! The error of a request without the input that the agent takes.

use openagentmesh::Contract;
use serde_json::Value;

use super::example::command_input;
use super::fields::fields;
use crate::failure::Failure;
use crate::{json, shell};

/// Fields that the message names.
const MAX_NAMES: usize = 12;

/// A longer input is no part of a command.
const MAX_HINT_BYTES: usize = 1_000;

/// The error of a request to the agent of `contract`, without the input that it takes. The hint is a command of the
/// `verb`, such as "call", with an example.
pub(crate) fn missing_input(contract: &Contract, verb: &str) -> Failure {
    let name = shell::word(contract.name.as_str());
    let any = Value::Bool(true);
    let schema = contract.input_schema.as_ref().unwrap_or(&any);
    let message = format!("no input given: {} takes {}", contract.name, takes(schema));
    let example = command_input(schema);
    let input = json::on_one_line(&example.value.to_string());
    Failure::usage(message).hint(match example.problem {
        None if input.len() <= MAX_HINT_BYTES => {
            format!("oam agent {verb} {name} {}", shell::word(&input))
        }
        _ => format!("oam agent contract {name}"),
    })
}

/// The input in words: the names of its fields, or its type.
fn takes(schema: &Value) -> String {
    let fields = fields(schema);
    let own = fields
        .rows
        .iter()
        .filter(|field| !field.name.contains(['.', '[']));
    let (required, optional): (Vec<_>, Vec<_>) =
        own.partition(|field| field.required && !field.is_conditional);
    if let [only] = required.as_slice()
        && only.name.is_empty()
    {
        return format!("one value: {}", only.kind);
    }
    let listed = |fields: &[&super::Field]| {
        let names = fields
            .iter()
            .take(MAX_NAMES)
            .map(|field| field.name.as_str());
        let mut names = names.collect::<Vec<_>>().join(", ");
        if fields.len() > MAX_NAMES {
            names.push_str(", …");
        }
        names
    };
    match (required.as_slice(), optional.as_slice()) {
        ([], []) => "a JSON object".to_owned(),
        (required, []) => listed(required),
        ([], optional) => format!("optionally {}", listed(optional)),
        (required, optional) => {
            format!("{}, and optionally {}", listed(required), listed(optional))
        }
    }
}
