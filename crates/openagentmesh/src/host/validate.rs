//! Telling a caller everything that is wrong with an input.

use openagentmesh_protocol::ErrorCode;
use serde_json::{Value, json};

use super::service::Served;
use crate::agent::{DecodeError, InputSchema, Problem};
use crate::error::Error;

/// Checks what deserialisation cannot see. Most schemas have nothing of the kind.
pub(super) fn restrictions(served: &Served, body: &[u8]) -> Result<(), Error> {
    match &served.input {
        Some(schema) if schema.exceeds_types() => {}
        _ => return Ok(()),
    }
    let problems = problems(served.input.as_deref(), body)?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(invalid(served, problems))
    }
}

/// Explains why the input did not become the handler's type.
pub(super) fn explain(served: &Served, body: &[u8], error: DecodeError) -> Error {
    match problems(served.input.as_deref(), body) {
        Err(not_json) => not_json,
        Ok(problems) if problems.is_empty() => invalid(
            served,
            vec![Problem {
                location: error.location,
                message: error.message,
                rule: "type".to_owned(),
            }],
        ),
        Ok(problems) => invalid(served, problems),
    }
}

fn problems(schema: Option<&InputSchema>, body: &[u8]) -> Result<Vec<Problem>, Error> {
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
    Ok(schema
        .map(|schema| schema.problems(&input))
        .unwrap_or_default())
}

fn invalid(served: &Served, problems: Vec<Problem>) -> Error {
    let described: Vec<String> = problems
        .iter()
        .take(3)
        .map(|problem| match problem.location.as_str() {
            "" => problem.message.clone(),
            location => format!("{location}: {}", problem.message),
        })
        .collect();
    let more = match problems.len().saturating_sub(described.len()) {
        0 => String::new(),
        more => format!("; and {more} more in details.errors"),
    };
    Error::raised(
        ErrorCode::InvalidInput,
        format!(
            "the input of agent '{}' is invalid: {}{more}",
            served.name,
            described.join("; ")
        ),
    )
    .with_detail("errors", json!(problems))
}
