//! What the contract of an agent says about its input.

use openagentmesh::Contract;
use serde_json::Value;

use crate::failure::Failure;

/// An input that fits the schema.
pub(crate) fn example(schema: &Value) -> Value {
    let _ = schema;
    Value::Null
}

/// The failure of a command without the input that the agent takes.
pub(crate) fn missing_input(contract: &Contract, verb: &str) -> Failure {
    let name = &contract.name;
    Failure::usage(format!("missing input: agent '{name}' takes one"))
        .hint(format!("oam agent {verb} {name} --example"))
}
