//! Checks calls that take long: deadlines, probes and cancellation.

use bytes::Bytes;
use openagentmesh_protocol::subject::may_reply_to;
use openagentmesh_protocol::{CallerSignal, header};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::exchange::{Ask, Host};
use super::input::Input;
use super::stalled::{check_passed_deadline, judge_probe, send_signal};
use super::traffic::NO_INPUT;
use crate::error::Error;
use crate::rules::cancellation as rules;
use crate::wire::{header as header_of, next_until};

/// The deadline of a call that does not end before, in milliseconds.
const DEADLINE_MS: &str = "300";

/// Checks an agent that works on `slow` for some seconds. Without it, checks with a valid `input` as far as possible.
pub(super) async fn check(
    host: Host<'_>,
    input: &Input,
    slow: Option<&Value>,
) -> Result<(), Error> {
    let Some(slow) = slow else {
        let reason = "no slow input; give one with --slow-input JSON";
        host.verdicts.skip_all(&rules::TABLE[1..], reason);
        let Some(body) = &input.body else {
            host.verdicts.skip(rules::PASSED, NO_INPUT);
            return Ok(());
        };
        return check_passed_deadline(host, body, false).await;
    };
    let body = Bytes::from(slow.to_string());
    check_passed_deadline(host, &body, false).await?;
    let started = Instant::now();
    let plain = host.exchange(Ask::call(host.name, &body)).await?;
    let took = started.elapsed();
    if plain.output().is_none() {
        let reason = format!("the slow input got {}", plain.describe());
        host.verdicts.skip_all(&rules::TABLE[1..], reason.as_str());
        return Ok(());
    }
    let probes = plain.probes.len();
    host.verdicts.require(
        rules::UNASKED,
        probes == 0,
        format!("unexpected probes: {probes} arrived"),
    );
    let limited = Ask::call(host.name, &body).header(header::TIMEOUT_MS, DEADLINE_MS);
    let limited = host.exchange(limited).await?;
    let reason = format!(
        "deadline ignored: a call of {DEADLINE_MS} ms got {}",
        limited.describe()
    );
    host.verdicts.require(
        rules::RUNNING,
        limited.code().as_deref() == Some("timeout"),
        reason,
    );

    let inbox = host.mesh.client.new_inbox();
    let mut replies = host.mesh.subscribe(inbox.clone()).await?;
    let ask = Ask::call(host.name, &body)
        .header(header::PROBE, "true")
        .reply_on(inbox);
    let end = Instant::now() + took + host.settings.quiet_time;
    host.mesh.send(ask.message).await?;
    let first = next_until(&mut replies, end).await;
    let probe = first.filter(|message| header_of(message, header::PROBE).is_some());
    let Some(reply) = judge_probe(host, probe.as_ref(), &ask.id) else {
        return Ok(());
    };
    if may_reply_to(&reply) {
        send_signal(host, &reply, CallerSignal::Cancel).await?;
    }
    sleep(end.saturating_duration_since(Instant::now())).await;
    let mut is_answered = false;
    while let Some(message) =
        next_until(&mut replies, Instant::now() + host.settings.quiet_time).await
    {
        if header_of(&message, header::PROBE).is_none() {
            is_answered = true;
            break;
        }
        if Instant::now() > end + host.settings.answer_timeout {
            break;
        }
    }
    host.verdicts.require(
        rules::PROBE_CANCEL,
        !is_answered,
        "request not cancelled: its reply arrived",
    );
    Ok(())
}
