//! Checks streams that wait for credit: credit itself, cancellation, deadlines and probes.

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use openagentmesh_protocol::subject::may_reply_to;
use openagentmesh_protocol::{CallerSignal, Headers, RequestId, header};
use tokio::time::Instant;

use super::exchange::{Ask, Host, error_object, is_error};
use super::replies::{instance_id, shown};
use crate::error::Error;
use crate::rule::Rule;
use crate::rules::{cancellation as rules, streams};
use crate::wire::{Outgoing, header as header_of, next_until, next_within};

/// Credit for all chunks of a stream.
const ALL: u32 = 100_000;
/// The deadline of a stream that does not end before, in milliseconds.
const DEADLINE_MS: &str = "300";
/// The chunks that the checks of credit need, and those of cancellation.
const MIN_CHUNKS_CREDIT: usize = 3;
const MIN_CHUNKS_CANCEL: usize = 2;

/// A stream whose host has sent the first chunk and has no credit for the second.
struct Stalled<'c> {
    host: Host<'c>,
    id: String,
    chunks: Subscriber,
    inbox: Subscriber,
    /// The reply subject of the first chunk.
    signals: String,
}

/// Checks an agent that answers `body` with `count` chunks, each with a reply subject.
pub(super) async fn check(host: Host<'_>, body: &Bytes, count: usize) -> Result<(), Error> {
    let all = [streams::CREDIT, streams::CANCEL, streams::NO_INTEREST];
    if count < MIN_CHUNKS_CANCEL {
        let reason =
            format!("the stream has {count} chunks, and the rule needs {MIN_CHUNKS_CREDIT}");
        host.verdicts.skip_all(&all, reason.as_str());
        host.verdicts.skip_all(&rules::TABLE[1..], reason.as_str());
        return Ok(());
    }
    if count < MIN_CHUNKS_CREDIT {
        let reason = "the stream has fewer than 3 chunks";
        host.verdicts
            .skip_all(&[streams::CREDIT, streams::NO_INTEREST], reason);
    } else if !check_credit(host, body).await? {
        let reason = "the host ignores credit";
        host.verdicts.skip_all(&all[1..], reason);
        host.verdicts.skip_all(&rules::TABLE[1..], reason);
        return Ok(());
    } else {
        check_no_interest(host, body).await?;
    }
    futures::try_join!(
        check_cancel(host, body),
        check_running_deadline(host, body),
        check_probes(host, body),
        check_unasked(host, body),
    )?;
    Ok(())
}

/// Checks that a request whose deadline has passed is not worked on.
pub(super) async fn check_passed_deadline(
    host: Host<'_>,
    body: &Bytes,
    is_stream: bool,
) -> Result<(), Error> {
    let ask = Ask::call(host.name, body)
        .by(is_stream)
        .header(header::TIMEOUT_MS, "0");
    let observed = host.exchange(ask).await?;
    let reason = format!(
        "deadline ignored: the request got {} instead of the error timeout",
        observed.describe()
    );
    host.verdicts.require(
        rules::PASSED,
        observed.code().as_deref() == Some("timeout"),
        reason,
    );
    Ok(())
}

impl<'c> Stalled<'c> {
    /// Opens a stream with credit for one chunk. `None` where the first chunk does not arrive.
    async fn open(
        host: Host<'c>,
        body: &Bytes,
        headers: &[(&str, &str)],
    ) -> Result<Option<Self>, Error> {
        let inbox_subject = host.mesh.client.new_inbox();
        let id = RequestId::random().to_string();
        let mut ask = Ask::with_id(host.name, body, id.clone()).stream();
        ask = ask
            .header(header::STREAM_CREDIT, "1")
            .reply_on(inbox_subject.clone());
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let mut chunks = host.mesh.subscribe(format!("mesh.stream.{id}")).await?;
        let inbox = host.mesh.subscribe(inbox_subject).await?;
        host.mesh.send(ask.message).await?;
        let Some(first) = next_within(&mut chunks, host.settings.answer_timeout).await else {
            return Ok(None);
        };
        let signals = first.reply.filter(|reply| may_reply_to(reply));
        Ok(signals.map(|signals| Self {
            host,
            id,
            chunks,
            inbox,
            signals: signals.to_string(),
        }))
    }

    async fn signal(&self, signal: CallerSignal) -> Result<(), Error> {
        send_signal(self.host, &self.signals, signal).await
    }

    /// Whether no chunk arrives in the quiet time.
    async fn is_quiet(&mut self) -> bool {
        next_within(&mut self.chunks, self.host.settings.quiet_time)
            .await
            .is_none()
    }

    /// Judges that the stream has ended: that credit brings no chunk. An error in place of an end marker is accepted.
    async fn judge_ended(&mut self, rule: Rule) -> Result<(), Error> {
        self.host.mesh.settle().await?;
        // The host may send until the signal has arrived.
        let until = Instant::now() + self.host.settings.quiet_time;
        let mut arrived = next_until(&mut self.chunks, until).await;
        if arrived.is_none() {
            self.signal(CallerSignal::Credit(ALL)).await?;
            arrived = next_within(&mut self.chunks, self.host.settings.quiet_time).await;
        }
        let is_ended = arrived.as_ref().is_none_or(is_error);
        self.host.verdicts.require(
            rule,
            is_ended,
            "stream not cancelled: further chunks arrived",
        );
        Ok(())
    }

    /// The first probe.
    async fn probe(&mut self) -> Option<Message> {
        let until = Instant::now() + self.host.settings.answer_timeout;
        loop {
            let message = next_until(&mut self.inbox, until).await?;
            if header_of(&message, header::PROBE).is_some() {
                return Some(message);
            }
        }
    }
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        // A host that does not see the end of the subscription learns of it by a message that waits for no answer.
        let (mesh, signals) = (self.host.mesh.clone(), self.signals.clone());
        let cancel = Outgoing::to(signals).header(header::CANCEL, "true");
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(mesh.send(cancel).await) });
        }
    }
}

/// Sends a signal to a subject that the host has named.
pub(super) async fn send_signal(
    host: Host<'_>,
    subject: &str,
    signal: CallerSignal,
) -> Result<(), Error> {
    let mut headers = Headers::default();
    signal.write(&mut headers);
    let mut message = Outgoing::to(subject);
    for (name, value) in headers.iter() {
        message = message.header(name, value);
    }
    host.mesh.send(message).await
}

/// Returns whether the host waits for credit.
async fn check_credit(host: Host<'_>, body: &Bytes) -> Result<bool, Error> {
    let Some(mut stream) = Stalled::open(host, body, &[]).await? else {
        host.verdicts.fail(
            streams::CREDIT,
            "no chunk: none arrived with credit for one",
        );
        return Ok(false);
    };
    if !stream.is_quiet().await {
        host.verdicts.fail(
            streams::CREDIT,
            "too many chunks: two arrived with credit for one",
        );
        return Ok(false);
    }
    stream.signal(CallerSignal::Credit(1)).await?;
    if next_within(&mut stream.chunks, host.settings.answer_timeout)
        .await
        .is_none()
    {
        host.verdicts
            .fail(streams::CREDIT, "credit ignored: no chunk arrived after it");
        return Ok(false);
    }
    let is_quiet = stream.is_quiet().await;
    host.verdicts.require(
        streams::CREDIT,
        is_quiet,
        "too many chunks: three arrived with credit for two",
    );
    Ok(is_quiet)
}

async fn check_no_interest(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let Some(mut stream) = Stalled::open(host, body, &[]).await? else {
        host.verdicts.skip(streams::NO_INTEREST, "no chunk arrived");
        return Ok(());
    };
    drop(stream.chunks.unsubscribe().await);
    host.mesh.settle().await?;
    // The next chunk has no subscriber.
    stream.signal(CallerSignal::Credit(1)).await?;
    host.mesh.settle().await?;
    tokio::time::sleep(host.settings.quiet_time).await;
    stream.chunks = host
        .mesh
        .subscribe(format!("mesh.stream.{}", stream.id))
        .await?;
    stream.judge_ended(streams::NO_INTEREST).await
}

async fn check_cancel(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let Some(mut stream) = Stalled::open(host, body, &[]).await? else {
        host.verdicts.skip(streams::CANCEL, "no chunk arrived");
        return Ok(());
    };
    stream.signal(CallerSignal::Cancel).await?;
    stream.judge_ended(streams::CANCEL).await
}

async fn check_running_deadline(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let Some(mut stream) = Stalled::open(host, body, &[(header::TIMEOUT_MS, DEADLINE_MS)]).await?
    else {
        host.verdicts.skip(rules::RUNNING, "no chunk arrived");
        return Ok(());
    };
    let end = next_within(&mut stream.chunks, host.settings.answer_timeout).await;
    let code = end
        .as_ref()
        .and_then(error_object)
        .map(|object| object["code"].clone());
    let is_timeout = code.as_ref().is_some_and(|code| code == "timeout");
    let reason = format!("deadline ignored: a stream of {DEADLINE_MS} ms got no error timeout");
    host.verdicts.require(rules::RUNNING, is_timeout, reason);
    Ok(())
}

async fn check_probes(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    let probed = Stalled::open(host, body, &[(header::PROBE, "true")]).await?;
    let Some(mut stream) = probed else {
        host.verdicts.skip(rules::PROBED, "no chunk arrived");
        return Ok(());
    };
    let probe = stream.probe().await;
    let Some(reply) = judge_probe(host, probe.as_ref(), &stream.id) else {
        return Ok(());
    };
    send_signal(host, &reply, CallerSignal::Cancel).await?;
    stream.judge_ended(rules::PROBE_CANCEL).await
}

/// Judges a probe. Returns its reply subject.
pub(super) fn judge_probe(host: Host<'_>, probe: Option<&Message>, id: &str) -> Option<String> {
    let reason = "no probe: the request ran without one";
    host.verdicts
        .require(rules::PROBED, probe.is_some(), reason);
    let Some(probe) = probe else {
        host.verdicts.skip_all(
            &[rules::PROBE_HEADERS, rules::PROBE_CANCEL],
            "no probe arrived",
        );
        return None;
    };
    let request = header_of(probe, header::REQUEST_ID);
    let verdict = match request {
        Some(found) if found == id => instance_id(probe),
        found => Err(format!(
            "wrong {}: expected '{id}', got {}",
            header::REQUEST_ID,
            shown(found)
        )),
    };
    let reply = probe.reply.as_deref().filter(|reply| may_reply_to(reply));
    let verdict = verdict.and_then(|()| {
        reply
            .map(drop)
            .ok_or_else(|| "missing reply subject".to_owned())
    });
    host.verdicts.judge(
        rules::PROBE_HEADERS,
        verdict.map_err(|error| format!("invalid probe: {error}")),
    );
    if reply.is_none() {
        host.verdicts
            .skip(rules::PROBE_CANCEL, "the probe has no reply subject");
    }
    reply.map(str::to_owned)
}

async fn check_unasked(host: Host<'_>, body: &Bytes) -> Result<(), Error> {
    if let Some(mut stream) = Stalled::open(host, body, &[]).await? {
        let message = next_within(&mut stream.inbox, host.settings.quiet_time).await;
        let reason = "unexpected message: a caller that does not answer probes received one";
        host.verdicts
            .require(rules::UNASKED, message.is_none(), reason);
    }
    Ok(())
}
