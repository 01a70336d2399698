//! Checks the errors of an agent.

use bytes::Bytes;
use openagentmesh_protocol::ErrorCode;
use serde_json::Value;

use super::exchange::{Ask, Host, Observed, error_object};
use super::target::Target;
use crate::error::Error;
use crate::rule::Rule;
use crate::rules::errors as rules;
use crate::schema;

/// The number of brackets of a deeply nested body.
const NESTED_BRACKETS: usize = 20_000;

/// Bodies that are not JSON.
const MALFORMED: &[&[u8]] = &[b"{\"conform", b"\xff\xfe", b"nul"];

/// Checks invalid inputs, and the verb that does not fit.
pub(super) async fn check(host: Host<'_>, target: &Target, is_stream: bool) -> Result<(), Error> {
    let wrong = Ask::call(host.name, &Bytes::new()).by(!is_stream);
    let wrong = host.exchange(wrong).await?;
    host.judge_error(&wrong);
    let code = wrong.code().unwrap_or_default();
    let reason = format!(
        "wrong verb: {} instead of invocation_mismatch",
        wrong.describe()
    );
    host.verdicts
        .require(rules::MISMATCH, code == "invocation_mismatch", reason);
    match target.input_schema() {
        Some(schema) => check_invalid(host, schema, is_stream).await,
        None => {
            let input = [
                rules::MALFORMED,
                rules::NESTED,
                rules::VIOLATION,
                rules::INVALID_CODE,
                rules::PROBLEMS,
            ];
            host.verdicts.skip_all(&input, "the agent takes no input");
            Ok(())
        }
    }
}

async fn check_invalid(host: Host<'_>, schema: &Value, is_stream: bool) -> Result<(), Error> {
    let ask = |body: &[u8]| {
        host.exchange(Ask::call(host.name, &Bytes::copy_from_slice(body)).by(is_stream))
    };
    let malformed = MALFORMED.iter().map(|body| ask(body));
    let nested = ["[".repeat(NESTED_BRACKETS), "]".repeat(NESTED_BRACKETS)].concat();
    let counterexample = schema::counterexample(schema).map(|value| value.to_string());
    let violating = async {
        match &counterexample {
            Some(body) => ask(body.as_bytes()).await.map(Some),
            None => Ok(None),
        }
    };
    let (malformed, nested, violating) = futures::try_join!(
        futures::future::try_join_all(malformed),
        ask(nested.as_bytes()),
        violating,
    )?;
    for (observed, body) in malformed.iter().zip(MALFORMED) {
        expect_error(
            host,
            rules::MALFORMED,
            observed,
            &String::from_utf8_lossy(body),
        );
        host.judge_error(observed);
        judge_code(host, observed);
    }
    let accepts_lists = schema::violation(schema, &serde_json::json!([[]])).is_none();
    let is_answered = nested.error().is_some() || accepts_lists && Host::is_served(&nested);
    let reason = format!(
        "no error: {NESTED_BRACKETS} brackets got {}",
        nested.describe()
    );
    host.verdicts.require(rules::NESTED, is_answered, reason);
    match (&violating, &counterexample) {
        (Some(observed), Some(body)) => {
            expect_error(host, rules::VIOLATION, observed, body);
            host.judge_error(observed);
            judge_code(host, observed);
            judge_problems(host, observed);
        }
        _ => host.verdicts.skip_all(
            &[rules::VIOLATION, rules::PROBLEMS],
            "no value is known that the schema refuses",
        ),
    }
    Ok(())
}

fn expect_error(host: Host<'_>, rule: Rule, observed: &Observed, body: &str) {
    let reason = format!("no error: the body {body} got {}", observed.describe());
    host.verdicts
        .require(rule, observed.error().is_some(), reason);
}

fn judge_code(host: Host<'_>, observed: &Observed) {
    if let Some(code) = observed.code() {
        let reason = format!("wrong code: expected 'invalid_input', got '{code}'");
        host.verdicts.require(
            rules::INVALID_CODE,
            ErrorCode::InvalidInput == code.as_str(),
            reason,
        );
    }
}

fn judge_problems(host: Host<'_>, observed: &Observed) {
    let Some(object) = observed.error().and_then(error_object) else {
        return host
            .verdicts
            .skip(rules::PROBLEMS, "an invalid input got no error");
    };
    // The elements are free: each validator has fields of its own.
    let problems = object["details"]["errors"].as_array();
    let is_listed = problems
        .is_some_and(|problems| !problems.is_empty() && problems.iter().all(Value::is_object));
    let reason = "missing problems: details.errors is not a list of objects";
    host.verdicts.require(rules::PROBLEMS, is_listed, reason);
}

/// Checks that requests to a publisher or a watcher do not run.
pub(super) async fn check_not_invocable(host: Host<'_>) -> Result<(), Error> {
    let observed = host.exchange(Ask::call(host.name, &Bytes::new())).await?;
    let is_refused =
        observed.is_unserved || observed.code().as_deref() == Some("invocation_mismatch");
    let reason = format!("request taken: a call got {}", observed.describe());
    host.verdicts
        .require(rules::NOT_INVOCABLE, is_refused, reason);
    Ok(())
}
