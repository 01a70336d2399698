//! Messages that are read directly: a server of the stream answers with the message itself, in place of JSON.

use async_nats::header::{NATS_LAST_SEQUENCE, NATS_SEQUENCE, NATS_SUBJECT, NATS_TIME_STAMP};
use async_nats::{Client, HeaderMap, HeaderName, Message, Request, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::access::Access;
use super::bucket::Bucket;
use super::handle::Handle;
use super::stored_message::StoredMessage;
use crate::error::{BoxError, Result};
use crate::transport::{self, DenialWatch};

/// The header with the number of further messages, on each message of a batch.
const NUM_PENDING: &str = "Nats-Num-Pending";
/// The status at the end of a batch.
const END_OF_BATCH: u16 = 204;

/// The subject of a request for the last message of `subject` in stream `stream`. A permission can name it.
pub(super) fn last_subject(stream: &str, subject: &str) -> String {
    format!("$JS.API.DIRECT.GET.{stream}.{subject}")
}

/// Reads the last message of a subject, where `request` is its [`last_subject`]; `None` if there is none.
///
/// # Errors
///
/// The failure of the request, or an answer that is not a message.
pub(super) async fn last(
    client: &Client,
    request: String,
) -> Result<Option<StoredMessage>, BoxError> {
    let empty = Request::new().payload("".into()).timeout(None);
    let answer = client.send_request(request, empty).await?;
    stored(answer)
}

/// The message in an answer; `None` if the server has none.
fn stored(mut answer: Message) -> Result<Option<StoredMessage>, BoxError> {
    match answer.status {
        None => {}
        Some(StatusCode::NOT_FOUND) => return Ok(None),
        Some(status) => {
            let description = answer.description.unwrap_or_default();
            return Err(format!("the server answered {status} {description}").into());
        }
    }
    let malformed = || "malformed answer: it does not say which message it is";
    let headers = answer.headers.as_ref().ok_or_else(malformed)?;
    let subject = header(headers, NATS_SUBJECT).ok_or_else(malformed)?;
    let sequence = header(headers, NATS_SEQUENCE).ok_or_else(malformed)?;
    let published = header(headers, NATS_TIME_STAMP).ok_or_else(malformed)?;
    let (sequence, published) = (
        sequence.parse()?,
        OffsetDateTime::parse(published, &Rfc3339)?,
    );
    answer.subject = subject.into();
    Ok(Some(StoredMessage::received(answer, sequence, published)))
}

/// The last value: the server appends its own after those of the stored message.
fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let value = headers.get_last(name)?;
    Some(value.as_str())
}

/// A request for several messages.
#[derive(Serialize)]
struct BatchRequest<'a> {
    seq: u64,
    next_by_subj: &'a str,
    batch: u64,
    max_bytes: u64,
}

/// The answers to a request for several messages, as they arrive.
pub(crate) struct DirectBatch {
    answers: Subscriber,
    /// The sequence of the last message; 0 before the first one.
    last: u64,
    has_ended: bool,
    denied: DenialWatch,
}

impl<H: Handle> Bucket<H> {
    /// Requests up to `messages` messages that `filter` matches, from sequence `from` on, with about `max_bytes` bytes.
    /// A server before 2.11 answers with one.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn request_batch(
        &self,
        filter: &str,
        from: u64,
        messages: u64,
        max_bytes: u64,
    ) -> Result<DirectBatch> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream_name());
        let denied = self.watch_denials(Access::Direct(subject.clone()));
        let client = self.connection().client();
        let reply = client.new_inbox();
        let answers = self.connection().subscribe_once(reply.clone()).await?;
        let request = BatchRequest {
            seq: from.max(1),
            next_by_subj: filter,
            batch: messages,
            max_bytes,
        };
        let request = serde_json::to_vec(&request).map_err(|error| self.failed("read", error))?;
        let sent = client.publish_with_reply(subject, reply, Bytes::from(request));
        sent.await
            .map_err(|error| transport::closed(error.to_string()))?;
        Ok(DirectBatch {
            answers,
            last: 0,
            has_ended: false,
            denied,
        })
    }
}

impl DirectBatch {
    /// The next message; `None` at the end of the batch. Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the server has denied the request; an answer that is not a message, or not the next one.
    pub(crate) async fn next(&mut self) -> Result<Option<StoredMessage>, BoxError> {
        if self.has_ended {
            return Ok(None);
        }
        let answer = tokio::select! {
            biased;
            answer = self.answers.next() => answer,
            error = self.denied.denied() => return Err(error.into()),
        };
        let answer = answer.ok_or("the subscription has ended")?;
        if answer
            .status
            .is_some_and(|status| status.as_u16() == END_OF_BATCH)
        {
            self.has_ended = true;
            return Ok(None);
        }
        let number = |name: HeaderName| {
            let number = header(answer.headers.as_ref()?, name)?;
            number.parse::<u64>().ok()
        };
        let before = number(NATS_LAST_SEQUENCE);
        // A server that knows no batches answers once, without the number.
        self.has_ended = number(HeaderName::from_static(NUM_PENDING)).is_none();
        if self.last > 0 && before != Some(self.last) {
            return Err("a message was lost".into());
        }
        let message = stored(answer)?;
        self.last = message.as_ref().map_or(0, |message| message.sequence);
        Ok(message)
    }
}
