//! Judges the values that a caller reports.

use async_nats::Message;
use serde_json::{Value, json};

use super::agents::{Behaviour, FAILED};
use super::calls::deliver;
use super::check::Check;
use crate::error::Error;
use crate::rule::Rule;
use crate::rules::{outcomes as rules, requests};

/// Judges a report, and replies to it.
pub(super) async fn answer(check: &Check<'_>, message: Message) -> Result<(), Error> {
    let Some(request) = check.judge(Behaviour::Report, &message) else {
        return Ok(());
    };
    let (step, seen) = (&request.input["step"], &request.input["seen"]);
    if let Some(step) = step.as_str()
        && let Some((rule, expected)) = expected(step)
    {
        let holds = match step {
            "ticks" => seen.as_u64() >= Some(3),
            _ => *seen == expected,
        };
        let reason = format!("wrong outcome of {step}: expected {expected}, got {seen}");
        check.verdicts.require(rule, holds, reason);
        if step == "ticks" && check.verdicts.of(requests::EVENTS).is_none() {
            let reason = "no subscription: the events had no subscriber";
            check.verdicts.fail(requests::EVENTS, reason);
        }
        check.done(step);
    }
    if let Some(reply) = &request.reply {
        deliver(check, check.output(&request, reply, &json!({}))).await?;
    }
    Ok(())
}

/// The rule of a step, and the value to be seen.
fn expected(step: &str) -> Option<(Rule, Value)> {
    Some(match step {
        "echo" => (rules::REPLY, json!({"text": "hello"})),
        "fail" => (rules::ERROR, json!(FAILED)),
        "lower" => (rules::HEADER_CASE, json!(FAILED)),
        "absent" => (rules::ABSENT, json!("not_available")),
        "slow" => (rules::SLOW, json!({"text": "hello"})),
        "count" => (rules::STREAM, json!(300)),
        "gap" => (rules::GAP, json!("chunk_sequence_error")),
        "stumble" => (rules::STREAM_ERROR, json!(FAILED)),
        "ticks" => (rules::EVENTS, json!(3)),
        _ => return None,
    })
}
