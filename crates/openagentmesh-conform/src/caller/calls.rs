//! Answers the calls of a caller.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use openagentmesh_protocol::envelope::Probe;
use openagentmesh_protocol::{CallerSignal, HeaderSource, Headers, header};
use tokio::time::{Instant, sleep_until};

use super::agents::{Behaviour, FAILED};
use super::check::Check;
use super::request::Request;
use crate::error::Error;
use crate::rules::{requests, signals as rules};
use crate::wire::{Outgoing, is_no_responders, next_until, next_within};

/// The time that a slow call takes.
const SLOW: Duration = Duration::from_secs(2);
/// The time of the first probe, and of the question, after the request.
const FIRST_PROBE: Duration = Duration::from_millis(100);
const QUESTION: Duration = Duration::from_millis(600);
/// The time between the probes of a call without an answer.
const PROBE_INTERVAL: Duration = Duration::from_millis(300);
/// The limit of the wait for the end of such a call. Its caller waits 1 s.
const NEVER_TIMEOUT: Duration = Duration::from_secs(8);
/// The number of consecutive probes without a subscriber after which a caller is gone.
const MAX_MISSED_PROBES: u32 = 3;

/// The headers of a received message.
pub(super) struct Received<'m>(pub(super) &'m Message);

impl HeaderSource for Received<'_> {
    fn each<'s>(&'s self, mut visit: impl FnMut(&'s str, &'s str)) {
        for (name, values) in self.0.headers.iter().flat_map(async_nats::HeaderMap::iter) {
            if let Some(value) = values.first() {
                visit(name.as_ref(), value.as_str());
            }
        }
    }
}

pub(super) async fn answer(
    check: &Check<'_>,
    behaviour: Behaviour,
    message: Message,
) -> Result<(), Error> {
    let Some(request) = check.judge(behaviour, &message) else {
        return Ok(());
    };
    let Some(reply) = request.reply.clone().filter(|_| !request.is_stream) else {
        if request.is_stream {
            let subject = format!("mesh.stream.{}", request.id);
            let error = check
                .error(&request, &subject, "invocation_mismatch")
                .header(header::STREAM_END, "true");
            return check.mesh.send(error).await;
        }
        return Ok(());
    };
    match behaviour {
        Behaviour::Slow => return slow(check, &request, &reply).await,
        Behaviour::Never => return never(check, &request, &reply).await,
        Behaviour::Note => {
            check.done("note");
            return check
                .mesh
                .send(check.output(&request, &reply, &request.input))
                .await;
        }
        Behaviour::Fail => {
            let error = check.error(&request, &reply, FAILED);
            return deliver(check, error).await;
        }
        Behaviour::Lower => {
            let mut error = check.error(&request, &reply, FAILED);
            let headers = error.headers.clone();
            error.headers = async_nats::HeaderMap::new();
            for (name, values) in headers.iter() {
                let name: &str = name.as_ref();
                let value = values
                    .first()
                    .map(|value| value.as_str())
                    .unwrap_or_default();
                error = error.header(&name.to_ascii_lowercase(), value);
            }
            return deliver(check, error).await;
        }
        _ => {}
    }
    deliver(check, check.output(&request, &reply, &request.input)).await
}

/// Sends a reply, and judges whether it has a subscriber.
pub(super) async fn deliver(check: &Check<'_>, reply: Outgoing) -> Result<(), Error> {
    let inbox = check.mesh.client.new_inbox();
    let mut reports = check.mesh.subscribe(inbox.clone()).await?;
    check.mesh.send(reply.reply(inbox)).await?;
    check.mesh.settle().await?;
    let report = next_within(&mut reports, Duration::from_millis(50)).await;
    let is_lost = report.as_ref().is_some_and(is_no_responders);
    let reason = "reply lost: the reply subject has no subscriber";
    check
        .verdicts
        .require(requests::SUBSCRIBED, !is_lost, reason);
    Ok(())
}

async fn probe(
    check: &Check<'_>,
    request: &Request,
    reply: &str,
    signals: &str,
    probe: Probe,
) -> Result<(), Error> {
    let mut headers = Headers::default();
    probe.write(&mut headers);
    let mut message = Outgoing::to(reply)
        .reply(signals)
        .header(header::REQUEST_ID, request.id.as_str())
        .header(header::INSTANCE_ID, check.instance.as_str());
    for (name, value) in headers.iter() {
        message = message.header(name, value);
    }
    check.mesh.send(message).await
}

/// Probes the caller, asks whether it waits, and replies.
async fn slow(check: &Check<'_>, request: &Request, reply: &str) -> Result<(), Error> {
    let end = Instant::now() + SLOW;
    if request.has_probes {
        let inbox = check.mesh.client.new_inbox();
        let mut signals = check.mesh.subscribe(inbox.clone()).await?;
        sleep_until(end - SLOW + FIRST_PROBE).await;
        probe(check, request, reply, &inbox, Probe::Check).await?;
        sleep_until(end - SLOW + QUESTION).await;
        probe(check, request, reply, &inbox, Probe::Question).await?;
        let deadline = Instant::now() + check.settings.answer_timeout;
        let answer = next_signal(&mut signals, deadline).await;
        let verdict = match answer {
            Some(CallerSignal::Waiting) => Ok(()),
            Some(signal) => Err(format!(
                "wrong answer: the caller waits and sent {signal:?}"
            )),
            None => Err("no answer: the caller waits and did not say so".to_owned()),
        };
        check.verdicts.judge(rules::WAITING, verdict);
    } else {
        check
            .verdicts
            .skip(rules::WAITING, "the caller does not answer probes");
    }
    sleep_until(end).await;
    check
        .mesh
        .send(check.output(request, reply, &request.input))
        .await
}

/// Probes the caller until it is gone.
async fn never(check: &Check<'_>, request: &Request, reply: &str) -> Result<(), Error> {
    if !request.has_probes {
        check
            .verdicts
            .skip(rules::GONE, "the caller does not answer probes");
        check.done("never");
        return Ok(());
    }
    let inbox = check.mesh.client.new_inbox();
    let mut signals = check.mesh.subscribe(inbox.clone()).await?;
    let end = Instant::now() + NEVER_TIMEOUT;
    let mut missed = 0;
    let mut is_gone = false;
    while Instant::now() < end && missed < MAX_MISSED_PROBES && !is_gone {
        probe(check, request, reply, &inbox, Probe::Check).await?;
        let interval = (Instant::now() + PROBE_INTERVAL).min(end);
        while let Some(signal) = next_until(&mut signals, interval).await {
            if is_no_responders(&signal) {
                missed += 1;
            } else if CallerSignal::read(&Received(&signal)) == Some(CallerSignal::Cancel) {
                is_gone = true;
                break;
            }
        }
    }
    is_gone |= missed >= MAX_MISSED_PROBES;
    let reason = format!(
        "request not cancelled: the caller still counted as waiting after {} s",
        NEVER_TIMEOUT.as_secs()
    );
    check.verdicts.require(rules::GONE, is_gone, reason);
    check.done("never");
    Ok(())
}

/// The next signal until `deadline`.
async fn next_signal(signals: &mut Subscriber, deadline: Instant) -> Option<CallerSignal> {
    loop {
        let message = next_until(signals, deadline).await?;
        if let Some(signal) = CallerSignal::read(&Received(&message)) {
            return Some(signal);
        }
    }
}
