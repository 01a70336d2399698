//! Checks the replies of a responder or a trigger.

use std::time::Duration;

use bytes::Bytes;
use openagentmesh_protocol::{RequestId, header, subject};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::exchange::{Ask, Host};
use super::input::Input;
use super::target::Target;
use super::traffic::NO_INPUT;
use crate::error::Error;
use crate::rules::calls as rules;
use crate::schema;
use crate::wire::{header as header_of, next_within};

/// The time after the request at which a late caller subscribes.
const LATE_BY: Duration = Duration::from_millis(50);
/// The lateness up to which a missing reply is the host's fault. A host repeats a reply for 1 s.
const MAX_LATE_BY: Duration = Duration::from_millis(500);
/// Maximum time for the reply to a late caller.
const LATE_TIMEOUT: Duration = Duration::from_secs(3);
/// The number of lost replies from which on the rule is failed.
const MAX_LOST: usize = 2;
/// The number of requests until one of them has a caller that is not too late.
const LATE_ATTEMPTS: usize = 3;

/// Checks calls and sends. Returns the id of the instance that replied.
pub(super) async fn check(
    host: Host<'_>,
    target: &Target,
    input: &Input,
) -> Result<Option<String>, Error> {
    let verdicts = host.verdicts;
    let Some(body) = &input.body else {
        verdicts.skip_all(rules::TABLE, NO_INPUT);
        return Ok(None);
    };
    let base = host.exchange(Ask::call(host.name, body)).await?;
    let Some(reply) = base.output() else {
        let answer = base.describe();
        if base.error().is_some() && !input.is_given {
            let reason =
                format!("the generated input got {answer}; give a valid one with --input JSON");
            verdicts.skip_all(rules::TABLE, reason.as_str());
        } else {
            verdicts.fail(
                rules::ANSWERED,
                format!("no output: the request got {answer}"),
            );
            verdicts.skip_all(rules::TABLE, "a valid request got no output");
        }
        return Ok(None);
    };
    verdicts.pass(rules::ANSWERED);
    host.judge_output(&base, target.output_schema());
    futures::try_join!(
        host.check_headers(body, false),
        check_plain(host, body),
        check_sends(host, body),
        check_late(host, body),
        check_reserved(host, body),
        check_empty(host, target.input_schema()),
    )?;
    let instance = header_of(reply, header::INSTANCE_ID);
    Ok(instance.map(str::to_owned))
}

async fn check_plain(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let plain = Ask::call(host.name, body).without_headers();
    host.expect_served(rules::PLAIN, &host.exchange(plain).await?);
    Ok(())
}

/// Checks requests whose reply goes elsewhere, or nowhere.
async fn check_sends(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let id = RequestId::random();
    let results = Ask::with_id(host.name, body, id.to_string()).reply_on(subject::results(&id));
    let chosen = format!("conform.replies.{}", RequestId::random());
    let reply_to = Ask::call(host.name, body)
        .header(header::REPLY_TO, &chosen)
        .reply_on(chosen);
    let forgotten = Ask::call(host.name, body).without_reply();
    let (results, reply_to, forgotten) = futures::try_join!(
        host.exchange(results),
        host.exchange(reply_to),
        host.exchange(forgotten)
    )?;
    host.expect_served(rules::RESULTS, &results);
    host.expect_served(rules::REPLY_TO, &reply_to);
    let letter = forgotten.letters.is_empty();
    host.verdicts.require(
        rules::NO_REPLY_SUBJECT,
        letter,
        "request failed: a dead letter arrived",
    );
    Ok(())
}

/// Checks the reply to a caller that subscribes after it has sent the request.
async fn check_late(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let mut lost = Vec::new();
    for _ in 0..LATE_ATTEMPTS {
        let id = RequestId::random();
        let results = subject::results(&id);
        let ask = Ask::with_id(host.name, body, id.to_string()).reply_on(results.clone());
        let asked = Instant::now();
        host.mesh.send(ask.message).await?;
        host.mesh.settle().await?;
        sleep(LATE_BY).await;
        let mut replies = host.mesh.subscribe(results).await?;
        let late_by = asked.elapsed();
        if next_within(&mut replies, LATE_TIMEOUT).await.is_some() {
            host.verdicts.pass(rules::LATE);
            return Ok(());
        }
        if late_by <= MAX_LATE_BY {
            lost.push(late_by);
        }
        // One may be lost by a stall of the machine.
        if lost.len() == MAX_LOST {
            break;
        }
    }
    if let Some(late_by) = lost.last() {
        let reason = format!(
            "reply lost: none arrived within {} s for a caller that was {} ms late",
            LATE_TIMEOUT.as_secs(),
            late_by.as_millis()
        );
        host.verdicts.fail(rules::LATE, reason);
        return Ok(());
    }
    let reason = format!(
        "this machine is too busy to subscribe within {} ms",
        MAX_LATE_BY.as_millis()
    );
    host.verdicts.skip(rules::LATE, reason);
    Ok(())
}

/// Checks that the host does not publish in its own name for a caller that may not.
async fn check_reserved(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let token = RequestId::random();
    let reserved = [
        format!("$CONFORM.{token}"),
        format!("mesh.death.conform-{token}"),
        format!("mesh.logs.conform-{token}"),
        format!("mesh.agent.conform-{token}"),
    ];
    let exchanges = reserved
        .iter()
        .map(|reply| host.exchange_quietly(Ask::call(host.name, body).reply_on(reply.clone())));
    let observed = futures::future::try_join_all(exchanges).await?;
    let published = reserved
        .iter()
        .zip(observed)
        .find(|(_, observed)| !observed.replies.is_empty());
    let reason = published.map(|(reply, _)| {
        format!("message on a reserved subject: the host published to '{reply}'")
    });
    host.verdicts
        .judge(rules::RESERVED_REPLY, reason.map_or(Ok(()), Err));
    Ok(())
}

async fn check_empty(host: Host<'_>, schema: Option<&Value>) -> Result<(), Error> {
    let Some(schema) = schema else {
        // The valid request has an empty body.
        host.verdicts.pass(rules::EMPTY);
        return Ok(());
    };
    let observed = host.exchange(Ask::call(host.name, &Bytes::new())).await?;
    if schema::violation(schema, &Value::Null).is_some() {
        let reason = format!(
            "no input was accepted: an empty body got {} instead of an error",
            observed.describe()
        );
        host.verdicts
            .require(rules::EMPTY, observed.error().is_some(), reason);
    } else {
        let is_answered = observed.output().is_some() || observed.error().is_some();
        host.verdicts
            .require(rules::EMPTY, is_answered, "no answer to an empty body");
    }
    Ok(())
}
