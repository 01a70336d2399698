//! The messages of a bucket: delivered by a consumer, or read one by one.

use std::fmt;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream;
use async_nats::jetstream::ErrorCode as ApiErrorCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use openagentmesh_protocol::catalog::{CHANGED_HEADER, MAX_CHANGED_BYTES};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::header_block::{self, Meaning};
use crate::error::BoxError;

/// A message of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct StoredMessage {
    pub(crate) subject: String,
    pub(crate) meaning: Meaning,
    pub(crate) payload: Bytes,
    /// Its number in the bucket.
    pub(crate) sequence: u64,
    /// The time of the write.
    pub(crate) published: OffsetDateTime,
    /// Whether the client may lose its connection when it receives the message.
    pub(crate) is_suspect: bool,
    /// The part of the value that the write has changed.
    pub(crate) changed: Option<Box<Changed>>,
}

/// The part of a value that a write has changed, as its writer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The revision of the value before, by which the server has accepted the write.
    pub(crate) follows: u64,
    /// The names of the changed elements, separated by spaces.
    pub(crate) names: Box<str>,
}

impl Changed {
    fn read(headers: &HeaderMap) -> Option<Box<Self>> {
        Self::of(|name| value(Some(headers), name))
    }

    /// The change in the headers whose values `value` returns.
    fn of<'v>(value: impl Fn(&str) -> Option<&'v [u8]>) -> Option<Box<Self>> {
        let names = value(CHANGED_HEADER)?;
        let follows = value(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE.as_ref())?;
        if names.len() > MAX_CHANGED_BYTES {
            return None;
        }
        let follows = std::str::from_utf8(follows).ok()?.parse().ok()?;
        let names = std::str::from_utf8(names).ok()?.into();
        Some(Box::new(Self { follows, names }))
    }
}

impl StoredMessage {
    /// A message that the client has received, with its place in the bucket.
    pub(super) fn received(
        message: async_nats::Message,
        sequence: u64,
        published: OffsetDateTime,
    ) -> Self {
        let headers = message.headers.as_ref();
        Self {
            meaning: header_block::meaning(|name| value(headers, name)),
            changed: headers.and_then(Changed::read),
            subject: message.subject.into_string(),
            payload: message.payload,
            sequence,
            published,
            is_suspect: false,
        }
    }
}

fn value<'h>(headers: Option<&'h HeaderMap>, name: &str) -> Option<&'h [u8]> {
    let value = headers?.get(name)?;
    Some(value.as_str().as_bytes())
}

/// Selects one message of a bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Find<'a> {
    /// The message with this sequence.
    Sequence(u64),
    /// The last message of this subject.
    Last(&'a str),
    /// The first message that `filter` matches and whose sequence is at least `from`.
    Next { filter: &'a str, from: u64 },
}

/// A request for one message.
#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<jetstream::Error>,
    message: Option<Encoded>,
}

/// A message in an answer.
#[derive(Deserialize)]
struct Encoded {
    subject: String,
    seq: u64,
    #[serde(default, deserialize_with = "decoded")]
    hdrs: Vec<u8>,
    #[serde(default, deserialize_with = "decoded")]
    data: Vec<u8>,
    time: String,
}

/// Reads the message that `find` selects in stream `stream`; `None` if there is none.
///
/// The answer is JSON: a message whose headers the client cannot read does not end the connection. That is why this is
/// not the client's own `get_raw_message`, which fails on such a message.
///
/// # Errors
///
/// The failure of the request, the error that JetStream answers with, or a malformed answer.
pub(super) async fn find(
    jetstream: &jetstream::Context,
    stream: &str,
    find: Find<'_>,
) -> Result<Option<StoredMessage>, BoxError> {
    let (seq, last_by_subj, next_by_subj) = match find {
        Find::Sequence(sequence) => (Some(sequence), None, None),
        Find::Last(subject) => (None, Some(subject), None),
        Find::Next { filter, from } => (Some(from), None, Some(filter)),
    };
    let request = Request {
        seq,
        last_by_subj,
        next_by_subj,
    };
    let subject = format!("STREAM.MSG.GET.{stream}");
    let answer: Answer = jetstream.request(subject, &request).await?;
    match (answer.error, answer.message) {
        (Some(error), _) if error.error_code() == ApiErrorCode::NO_MESSAGE_FOUND => Ok(None),
        (Some(error), _) => Err(error.into()),
        (None, Some(message)) => message.decode().map(Some),
        (None, None) => Err("malformed answer: neither a message nor an error".into()),
    }
}

/// Reads the last write of `key` in key-value bucket `bucket`, without opening or creating it; `None` if there is none.
///
/// # Errors
///
/// As [`find`], and the error that JetStream answers with when there is no such bucket.
pub(crate) async fn find_last(
    jetstream: &jetstream::Context,
    bucket: &str,
    key: &str,
) -> Result<Option<StoredMessage>, BoxError> {
    let subject = openagentmesh_protocol::subject::kv(bucket, key);
    let stream = ["KV_", bucket].concat();
    find(jetstream, &stream, Find::Last(&subject)).await
}

impl Encoded {
    fn decode(self) -> Result<StoredMessage, BoxError> {
        Ok(StoredMessage {
            meaning: header_block::read(&self.hdrs),
            is_suspect: header_block::is_suspect(&self.subject, &self.hdrs),
            subject: self.subject,
            payload: self.data.into(),
            sequence: self.seq,
            published: OffsetDateTime::parse(&self.time, &Rfc3339)?,
            changed: Changed::of(|name| header_block::value(&self.hdrs, name)),
        })
    }
}

/// The bytes of a base64 text, without a copy of the text: a value can have several megabytes.
fn decoded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Decode;

    impl Visitor<'_> for Decode {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a base64 text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            STANDARD.decode(text).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Decode)
}
