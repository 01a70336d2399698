//! Checks inputs against their schema, and explains invalid ones.

use openagentmesh_protocol::{AgentName, ErrorCode};
use serde_json::{Value, json};

use crate::agent::DecodeError;
use crate::error::Error;
use crate::schema::{InputSchema, Problem, Problems, may_exceed_memory, parse, too_much_memory};

/// Checks a schema that deserialisation alone does not enforce, for example with lengths or ranges. An input whose
/// check would exceed the budget is refused, whatever its type is: callers that check it come to the same verdict.
pub(crate) fn check_restrictions(
    agent: &AgentName,
    schema: Option<&InputSchema>,
    body: &[u8],
) -> Result<(), Error> {
    let is_checked = |schema: &&InputSchema| {
        schema.exceeds_types() || may_exceed_memory(body) || schema.may_exceed_budget(body)
    };
    let Some(schema) = schema.filter(is_checked) else {
        return Ok(());
    };
    let problems = problems(Some(schema), body)?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.error(agent))
    }
}

/// Explains why the input could not be deserialised: the problems that the schema finds, else `error`.
pub(crate) fn explain(
    agent: &AgentName,
    schema: Option<&InputSchema>,
    body: &[u8],
    error: DecodeError,
) -> Error {
    if error.is_too_large {
        return too_much_memory().error(agent);
    }
    match problems(schema, body) {
        Err(invalid_json) => invalid_json,
        // The place that deserialisation found says more than that there is a limit.
        Ok(problems) if problems.is_empty() || problems.is_budget_exceeded() => {
            let problem = Problem {
                location: error.location,
                message: error.message,
                rule: "type".to_owned(),
            };
            Problems::from(problem).error(agent)
        }
        Ok(problems) => problems.error(agent),
    }
}

/// The problems that the schema finds. An error means that the body is not JSON.
fn problems(schema: Option<&InputSchema>, body: &[u8]) -> Result<Problems, Error> {
    if may_exceed_memory(body) {
        return Ok(too_much_memory());
    }
    let input: Value = if body.is_empty() {
        Value::Null
    } else {
        parse(body).map_err(|error| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!("invalid input: {error}; send one JSON value"),
            )
            .with_detail(
                "errors",
                json!([{"location": "", "message": error.to_string(), "rule": "json"}]),
            )
        })?
    };
    // A schema without a validator only repeats the types, which deserialisation has checked.
    let problems = schema.and_then(|schema| schema.problems(&input).ok());
    Ok(problems.unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn body_that_is_not_json_is_one_problem_with_the_rule_json() {
        let error = problems(None, b"{").map(|_| ()).unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput);
        assert!(error.message().starts_with("invalid input: "), "{error}");
        assert_eq!(error.details()["errors"][0]["rule"], "json");
    }

    #[test]
    fn body_that_takes_too_much_memory_is_not_parsed() {
        let body = format!("[{}1]", "1,".repeat(4_000_000));
        let problems = problems(None, body.as_bytes()).unwrap();
        assert!(problems.is_budget_exceeded());
        let error = problems.error(&AgentName::new("list").unwrap());
        assert_eq!(error.code(), &ErrorCode::PayloadTooLarge);
    }

    #[test]
    fn empty_body_is_null_and_has_no_problem_without_a_schema() {
        assert!(problems(None, b"").unwrap().is_empty());
    }
}
