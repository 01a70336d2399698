//! Telling a caller everything that is wrong with an input.

use openagentmesh_protocol::ErrorCode;
use serde_json::{Value, json};

use super::service::AgentState;
use crate::agent::DecodeError;
use crate::error::Error;
use crate::schema::{InputSchema, Problem, Problems};

/// Checks what deserialisation cannot see. Most schemas have nothing of the kind.
pub(super) fn restrictions(served: &AgentState, body: &[u8]) -> Result<(), Error> {
    match &served.input {
        Some(schema) if schema.exceeds_types() => {}
        _ => return Ok(()),
    }
    let problems = problems(served.input.as_deref(), body)?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.error(&served.name))
    }
}

/// Explains why the input did not become the handler's type.
pub(super) fn explain(served: &AgentState, body: &[u8], error: DecodeError) -> Error {
    match problems(served.input.as_deref(), body) {
        Err(not_json) => not_json,
        Ok(problems) if problems.is_empty() => {
            let problem = Problem {
                location: error.location,
                message: error.message,
                rule: "type".to_owned(),
            };
            Problems::from(problem).error(&served.name)
        }
        Ok(problems) => problems.error(&served.name),
    }
}

fn problems(schema: Option<&InputSchema>, body: &[u8]) -> Result<Problems, Error> {
    let input: Value = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(body).map_err(|error| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!("the input is not JSON: {error}"),
            )
            .with_detail(
                "errors",
                json!([{"location": "", "message": error.to_string(), "rule": "json"}]),
            )
        })?
    };
    // Without a validator the schema only repeats the types, which found the problem already.
    let problems = schema.and_then(|schema| schema.problems(&input).ok());
    Ok(problems.unwrap_or_default())
}
