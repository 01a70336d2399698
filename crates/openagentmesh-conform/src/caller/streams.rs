//! Answers the requests for streams of a caller.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use openagentmesh_protocol::{CallerSignal, header};
use serde_json::json;
use tokio::time::Instant;

use super::agents::{Behaviour, FAILED};
use super::calls::Received;
use super::check::Check;
use super::request::Request;
use crate::error::Error;
use crate::rules::{requests, signals as rules};
use crate::wire::{Outgoing, is_no_responders, next_until, next_within};

/// The number of chunks of a stream that ends.
const MAX_CHUNKS: u64 = 1000;
/// The number that a stream with a gap leaves out.
const GAP: u64 = 2;
/// The time between the chunks of an endless stream.
const CHUNK_INTERVAL: Duration = Duration::from_millis(30);
/// The limit of an endless stream.
const ENDLESS_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn answer(
    check: &Check<'_>,
    behaviour: Behaviour,
    message: Message,
) -> Result<(), Error> {
    let Some(request) = check.judge(behaviour, &message) else {
        return Ok(());
    };
    if !request.is_stream {
        let Some(reply) = &request.reply else {
            return Ok(());
        };
        return check
            .mesh
            .send(check.error(&request, reply, "invocation_mismatch"))
            .await;
    }
    let inbox = check.mesh.client.new_inbox();
    let signals = check.mesh.subscribe(inbox.clone()).await?;
    let mut stream = Stream {
        check,
        subject: format!("mesh.stream.{}", request.id),
        credit: request.credit,
        inbox,
        signals,
        seen: Seen::default(),
        request,
    };
    match behaviour {
        Behaviour::Endless => stream.endless().await,
        Behaviour::Stumble => stream.run(FAILED, None).await,
        Behaviour::Gap => stream.run("", Some(GAP)).await,
        _ => stream.run("", None).await,
    }
}

struct Stream<'c> {
    check: &'c Check<'c>,
    request: Request,
    subject: String,
    /// The number of chunks that the caller can take; `None` if it does not count them.
    credit: Option<u64>,
    inbox: String,
    signals: Subscriber,
    seen: Seen,
}

/// The signals so far.
#[derive(Default)]
struct Seen {
    has_credit: bool,
    is_cancelled: bool,
    is_unsubscribed: bool,
}

impl Stream<'_> {
    /// Streams numbers, except `gap`, and ends with the end marker or with an error.
    async fn run(&mut self, error: &str, gap: Option<u64>) -> Result<(), Error> {
        let to = self.request.input["to"]
            .as_u64()
            .unwrap_or(0)
            .min(MAX_CHUNKS);
        for number in (0..to).filter(|number| Some(*number) != gap) {
            if !self.take_credit().await {
                break;
            }
            self.chunk(number).await?;
            if number == 0 {
                self.judge_subscribed().await?;
            }
            if self.is_left() {
                return Ok(());
            }
        }
        if self.seen.has_credit {
            self.check.verdicts.pass(rules::CREDIT);
        } else if self.request.credit.is_none_or(|credit| credit >= to) {
            self.check
                .verdicts
                .skip(rules::CREDIT, "the caller asked for all chunks at once");
        }
        let end = match error {
            "" => Outgoing::to(self.subject.as_str())
                .header(header::STREAM_SEQ, to.to_string())
                .header(header::REQUEST_ID, self.request.id.as_str())
                .header(header::INSTANCE_ID, self.check.instance.as_str()),
            code => self.check.error(&self.request, &self.subject, code),
        };
        self.check
            .mesh
            .send(end.header(header::STREAM_END, "true"))
            .await
    }

    /// Streams until the caller is gone, and judges how it left.
    async fn endless(&mut self) -> Result<(), Error> {
        let end = Instant::now() + ENDLESS_TIMEOUT;
        let mut number = 0;
        while Instant::now() < end && !self.is_left() {
            if self.credit != Some(0) {
                self.credit = self.credit.map(|credit| credit - 1);
                self.chunk(number).await?;
                if number == 0 {
                    self.judge_subscribed().await?;
                }
                number += 1;
            }
            self.read_until(Instant::now() + CHUNK_INTERVAL).await;
        }
        // Both may follow each other.
        let limit = Instant::now() + self.check.settings.quiet_time;
        while Instant::now() < limit && !(self.seen.is_cancelled && self.seen.is_unsubscribed) {
            self.chunk(number).await?;
            number += 1;
            self.read_until(Instant::now() + CHUNK_INTERVAL).await;
        }
        let verdicts = &self.check.verdicts;
        let reason = "subscription left: chunks still have a subscriber";
        // One subscription for all streams of the caller remains.
        let is_shared = self.request.id.as_str().contains('.');
        let is_left = self.seen.is_unsubscribed || (is_shared && self.seen.is_cancelled);
        verdicts.require(rules::DROP, is_left, reason);
        let reason = "no cancel message: none arrived on the reply subject of the chunks";
        verdicts.require(rules::DROP_CANCEL, self.seen.is_cancelled, reason);
        self.check.done("endless");
        Ok(())
    }

    fn is_left(&self) -> bool {
        self.seen.is_cancelled || self.seen.is_unsubscribed
    }

    async fn chunk(&self, number: u64) -> Result<(), Error> {
        let chunk = Outgoing::to(self.subject.as_str())
            .reply(self.inbox.as_str())
            .header(header::STREAM_SEQ, number.to_string())
            .header(header::STREAM_END, "false")
            .header(header::REQUEST_ID, self.request.id.as_str())
            .header(header::INSTANCE_ID, self.check.instance.as_str())
            .body(json!(number).to_string());
        self.check.mesh.send(chunk).await
    }

    /// Judges whether the first chunk has a subscriber.
    async fn judge_subscribed(&mut self) -> Result<(), Error> {
        self.check.mesh.settle().await?;
        self.read_until(Instant::now() + Duration::from_millis(20))
            .await;
        let reason = "chunk lost: the subject of the stream has no subscriber";
        self.check.verdicts.require(
            requests::STREAM_SUBSCRIBED,
            !self.seen.is_unsubscribed,
            reason,
        );
        Ok(())
    }

    /// Takes credit for one chunk. Returns whether there was some in time.
    async fn take_credit(&mut self) -> bool {
        if self.credit == Some(0) {
            let end = Instant::now() + self.check.settings.answer_timeout;
            while self.credit == Some(0) && !self.is_left() {
                let Some(signal) = next_until(&mut self.signals, end).await else {
                    let reason = "no credit: the stream waits for it";
                    self.check.verdicts.fail(rules::CREDIT, reason);
                    return false;
                };
                self.apply(&signal);
            }
        }
        self.credit = self.credit.map(|credit| credit.saturating_sub(1));
        true
    }

    /// Reads the signals that arrive until `deadline`.
    async fn read_until(&mut self, deadline: Instant) {
        while let Some(signal) = next_until(&mut self.signals, deadline).await {
            self.apply(&signal);
        }
    }

    fn apply(&mut self, signal: &Message) {
        if is_no_responders(signal) {
            self.seen.is_unsubscribed = true;
            return;
        }
        match CallerSignal::read(&Received(signal)) {
            Some(CallerSignal::Cancel) => self.seen.is_cancelled = true,
            Some(CallerSignal::Credit(more)) => {
                self.seen.has_credit = true;
                self.credit = self
                    .credit
                    .map(|credit| credit.saturating_add(u64::from(more)));
            }
            _ => {}
        }
    }
}

/// Whether the message has a subscriber, by the report of the server.
pub(super) async fn has_subscriber(check: &Check<'_>, message: Outgoing) -> Result<bool, Error> {
    let inbox = check.mesh.client.new_inbox();
    let mut reports = check.mesh.subscribe(inbox.clone()).await?;
    check.mesh.send(message.reply(inbox)).await?;
    check.mesh.settle().await?;
    let report = next_within(&mut reports, Duration::from_millis(20)).await;
    Ok(!report.as_ref().is_some_and(is_no_responders))
}
