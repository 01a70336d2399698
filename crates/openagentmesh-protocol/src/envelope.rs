//! Envelopes: the headers of requests, replies and chunks as structs.

use std::num::NonZeroU32;

use crate::header::{
    self, HeaderError, HeaderSink, HeaderSource, Known, is_true, parse, parse_bool,
};
use crate::{InstanceId, RequestId, Usage};

/// The value of [`header::STREAM_BATCH`] for chunks in lines. It is a hint: another value reads as none.
const BATCH: &str = "1";

/// Whether the body of a reply is the output or an error object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The body is the output.
    Ok,
    /// The body is an [`ErrorObject`](crate::ErrorObject).
    Error,
}

impl Status {
    /// The header's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }

    fn parse(value: &str) -> Option<Self> {
        match value {
            "ok" => Some(Self::Ok),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

/// The headers of a request.
///
/// ```
/// use openagentmesh_protocol::{Headers, RequestHeaders, RequestId};
///
/// let request = RequestHeaders { request_id: Some(RequestId::random()), ..Default::default() };
/// let mut headers = Headers::default();
/// request.write(&mut headers);
/// assert_eq!(RequestHeaders::read(&headers)?, request);
/// # Ok::<(), openagentmesh_protocol::HeaderError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHeaders {
    /// Identifies the request; absent from plain NATS clients.
    pub request_id: Option<RequestId>,
    /// Whether the caller asks for a stream.
    pub stream: bool,
    /// The reply subject, if the sender chose one.
    pub reply_to: Option<String>,
    /// The caller's process.
    pub instance_id: Option<InstanceId>,
    /// The caller's timeout in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Number of chunks that the caller can take.
    pub stream_credit: Option<u32>,
    /// Whether the caller takes messages with several chunks.
    pub stream_batch: bool,
    /// Whether the caller answers probes.
    pub probe: bool,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Vendor-specific part of the W3C trace context.
    pub tracestate: Option<String>,
}

impl RequestHeaders {
    /// Reads the headers of a request. Unknown headers are ignored.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when a known header has an invalid value.
    pub fn read(source: &impl HeaderSource) -> Result<Self, HeaderError> {
        let known = Known::read(source);
        let text = |value| filled(value).map(str::to_owned);
        Ok(Self {
            request_id: request_id(&known)?,
            stream: parse(known.stream, header::STREAM, parse_bool)?.unwrap_or(false),
            reply_to: text(known.reply_to),
            instance_id: parse(known.instance_id, header::INSTANCE_ID, |v| {
                InstanceId::parse(v).ok()
            })?,
            timeout_ms: parse(known.timeout_ms, header::TIMEOUT_MS, |v| v.parse().ok())?,
            stream_credit: parse(known.stream_credit, header::STREAM_CREDIT, |v| {
                v.parse().ok()
            })?,
            stream_batch: known.stream_batch == Some(BATCH),
            probe: is_true(known.probe),
            traceparent: text(known.traceparent),
            tracestate: text(known.tracestate),
        })
    }

    /// Reads only the fields that decide where the error reply goes, from headers that
    /// [`read`](Self::read) rejected.
    #[must_use]
    pub fn read_destination(source: &impl HeaderSource) -> Self {
        let known = Known::read(source);
        Self {
            request_id: request_id(&known).unwrap_or_default(),
            stream: is_true(known.stream),
            ..Self::default()
        }
    }

    /// Writes the headers that are set.
    pub fn write(&self, sink: &mut impl HeaderSink) {
        put_if_set(
            sink,
            header::REQUEST_ID,
            self.request_id.as_ref().map(RequestId::as_str),
        );
        if self.stream {
            sink.put(header::STREAM, "true");
        }
        put_if_set(sink, header::REPLY_TO, self.reply_to.as_deref());
        put_if_set(
            sink,
            header::INSTANCE_ID,
            self.instance_id.as_ref().map(InstanceId::as_str),
        );
        if let Some(timeout_ms) = self.timeout_ms {
            sink.put(header::TIMEOUT_MS, &timeout_ms.to_string());
        }
        if let Some(credit) = self.stream_credit {
            sink.put(header::STREAM_CREDIT, &credit.to_string());
        }
        if self.stream_batch {
            sink.put(header::STREAM_BATCH, BATCH);
        }
        if self.probe {
            sink.put(header::PROBE, "true");
        }
        put_if_set(sink, header::TRACEPARENT, self.traceparent.as_deref());
        put_if_set(sink, header::TRACESTATE, self.tracestate.as_deref());
    }
}

/// The headers of a reply, and of the copy of an error on `mesh.errors.{name}`. Identifiers are not
/// validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHeaders<'a> {
    /// Whether the body is the output or an error object.
    pub status: Status,
    /// The agent that replied, on ok replies.
    pub source: Option<&'a str>,
    /// The id of the request.
    pub request_id: Option<&'a str>,
    /// The replying process.
    pub instance_id: Option<&'a str>,
    /// Tokens and cost of the answer.
    pub usage: Option<Usage>,
}

impl<'a> ReplyHeaders<'a> {
    /// Reads the headers of a reply. Unknown headers are ignored.
    ///
    /// A missing status reads as [`Status::Ok`], so that replies of plain NATS services are accepted.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when a known header has an invalid value.
    pub fn read(source: &'a impl HeaderSource) -> Result<Self, HeaderError> {
        let known = Known::read(source);
        Ok(Self {
            status: parse(known.status, header::STATUS, Status::parse)?.unwrap_or(Status::Ok),
            source: filled(known.source),
            request_id: filled(known.request_id),
            instance_id: filled(known.instance_id),
            usage: known.usage.and_then(Usage::parse),
        })
    }

    /// Writes the headers that are set.
    pub fn write(&self, sink: &mut impl HeaderSink) {
        sink.put(header::STATUS, self.status.as_str());
        put_if_set(sink, header::SOURCE, self.source);
        put_if_set(sink, header::REQUEST_ID, self.request_id);
        put_if_set(sink, header::INSTANCE_ID, self.instance_id);
        if let Some(usage) = &self.usage {
            sink.put(header::USAGE, &usage.to_header());
        }
    }
}

/// The headers of a chunk of a streamed reply, and of a publisher's event. Identifiers are not
/// validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkHeaders<'a> {
    /// Position in the stream, from 0; absent from the error that ends a stream.
    pub seq: Option<u64>,
    /// Number of chunks in a message that has several; [`seq`](Self::seq) is the position of the first one.
    pub count: Option<NonZeroU32>,
    /// Whether this message ends the stream.
    pub end: bool,
    /// [`Status::Error`] on the error that ends a stream.
    pub status: Option<Status>,
    /// The id of the request; absent from events.
    pub request_id: Option<&'a str>,
    /// The producing process.
    pub instance_id: Option<&'a str>,
    /// Tokens and cost of the whole stream, on its end marker.
    pub usage: Option<Usage>,
}

impl<'a> ChunkHeaders<'a> {
    /// Reads the headers of a chunk or an event. Unknown headers are ignored.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when a known header has an invalid value.
    pub fn read(source: &'a impl HeaderSource) -> Result<Self, HeaderError> {
        let known = Known::read(source);
        Ok(Self {
            seq: parse(known.stream_seq, header::STREAM_SEQ, |v| v.parse().ok())?,
            count: parse(known.stream_count, header::STREAM_COUNT, |v| v.parse().ok())?,
            end: parse(known.stream_end, header::STREAM_END, parse_bool)?.unwrap_or(false),
            status: parse(known.status, header::STATUS, Status::parse)?,
            request_id: filled(known.request_id),
            instance_id: filled(known.instance_id),
            usage: known.usage.and_then(Usage::parse),
        })
    }

    /// Writes the headers that are set.
    pub fn write(&self, sink: &mut impl HeaderSink) {
        if let Some(seq) = self.seq {
            sink.put(header::STREAM_SEQ, &seq.to_string());
        }
        if let Some(count) = self.count {
            sink.put(header::STREAM_COUNT, &count.to_string());
        }
        sink.put(header::STREAM_END, if self.end { "true" } else { "false" });
        if let Some(status) = self.status {
            sink.put(header::STATUS, status.as_str());
        }
        put_if_set(sink, header::REQUEST_ID, self.request_id);
        put_if_set(sink, header::INSTANCE_ID, self.instance_id);
        if let Some(usage) = &self.usage {
            sink.put(header::USAGE, &usage.to_header());
        }
    }
}

/// A message on a reply subject by which a host checks that the caller still waits: see [`header::PROBE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// Only a caller that does not wait answers, with [`CallerSignal::Cancel`](crate::CallerSignal::Cancel).
    Check,
    /// A caller that waits answers, too, with [`CallerSignal::Waiting`](crate::CallerSignal::Waiting).
    Question,
}

impl Probe {
    /// Reads the probe in a message; `None` if the message is none.
    #[must_use]
    pub fn read(source: &impl HeaderSource) -> Option<Self> {
        match source.get(header::PROBE) {
            Some("answer") => Some(Self::Question),
            value => is_true(value).then_some(Self::Check),
        }
    }

    /// Writes the header of the probe.
    pub fn write(self, sink: &mut impl HeaderSink) {
        let value = match self {
            Self::Check => "true",
            Self::Question => "answer",
        };
        sink.put(header::PROBE, value);
    }
}

/// The format of a raw publish's body: see [`header::CONTENT_TYPE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentType {
    /// `application/json`: a JSON value.
    Json,
    /// `application/octet-stream`: bytes.
    Bytes,
    /// `text/plain`: UTF-8 text.
    Text,
}

impl ContentType {
    /// Reads the content type of a message. A missing or unknown type reads as JSON.
    #[must_use]
    pub fn read(source: &impl HeaderSource) -> Self {
        match source.get(header::CONTENT_TYPE) {
            Some("application/octet-stream") => Self::Bytes,
            Some("text/plain") => Self::Text,
            _ => Self::Json,
        }
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Bytes => "application/octet-stream",
            Self::Text => "text/plain",
        }
    }
}

fn request_id(known: &Known<'_>) -> Result<Option<RequestId>, HeaderError> {
    parse(known.request_id, header::REQUEST_ID, |v| {
        RequestId::parse(v).ok()
    })
}

fn filled(value: Option<&str>) -> Option<&str> {
    value.filter(|v| !v.is_empty())
}

fn put_if_set(sink: &mut impl HeaderSink, name: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        sink.put(name, value);
    }
}
