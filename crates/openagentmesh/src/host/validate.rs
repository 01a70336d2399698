//! Checks inputs against their schema, and explains invalid ones.

use openagentmesh_protocol::{AgentName, ErrorCode};
use serde_json::{Value, json};

use crate::agent::DecodeError;
use crate::error::Error;
use crate::schema::{InputSchema, MAX_VALUES, Problem, Problems, parse, too_many_values};

/// Checks a schema that deserialisation alone does not enforce, for example with lengths or ranges. An input whose
/// check would exceed the budget is refused, whatever its type is: callers that check it come to the same verdict.
pub(crate) fn check_restrictions(
    agent: &AgentName,
    schema: Option<&InputSchema>,
    body: &[u8],
) -> Result<(), Error> {
    let is_checked = |schema: &&InputSchema| {
        schema.exceeds_types()
            || (!schema.is_any() && (is_large(body) || schema.may_exceed_budget(body)))
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

/// Explains why the input could not be deserialised: every problem that the schema finds, else `error`.
pub(crate) fn explain(
    agent: &AgentName,
    schema: Option<&InputSchema>,
    body: &[u8],
    error: DecodeError,
) -> Error {
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
    if is_large(body) {
        return Ok(too_many_values());
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

/// Whether the body has too many values to be parsed.
fn is_large(body: &[u8]) -> bool {
    body.len() > MAX_VALUES && count_values(body) > MAX_VALUES
}

/// The number of values in lists and objects, counted without parsing them.
fn count_values(json: &[u8]) -> usize {
    let (mut values, mut is_text, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => values += 1,
            _ => {}
        }
    }
    values
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
    fn body_with_too_many_values_is_not_parsed() {
        let body = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert!(
            problems(None, body.as_bytes())
                .unwrap()
                .is_budget_exceeded()
        );
        let text = format!("\"{}\"", ",[{\\\"".repeat(MAX_VALUES));
        assert!(problems(None, text.as_bytes()).unwrap().is_empty());
    }

    #[test]
    fn empty_body_is_null_and_has_no_problem_without_a_schema() {
        assert!(problems(None, b"").unwrap().is_empty());
    }
}
