//! Envelopes: what the headers of a request, a reply and a chunk say.

use crate::header::{
    self, HeaderError, HeaderSink, HeaderSource, parse, parse_bool, parse_lenient,
};
use crate::{InstanceId, RequestId, Usage};

/// Whether a reply is the output or an error object.
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
    /// Names the request; absent from clients that know no more than NATS.
    pub request_id: Option<RequestId>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// The reply subject that the sender chose itself.
    pub reply_to: Option<String>,
    /// The calling process.
    pub instance_id: Option<InstanceId>,
    /// How long the caller will wait, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How many chunks the caller can take.
    pub stream_credit: Option<u32>,
    /// Whether the caller answers probes.
    pub probe: bool,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// W3C trace context, the vendors' part.
    pub tracestate: Option<String>,
}

impl RequestHeaders {
    /// Reads the headers of a request; unknown ones are ignored.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when a known header has a value that it cannot have.
    pub fn read(source: &impl HeaderSource) -> Result<Self, HeaderError> {
        let text = |name| {
            source
                .get(name)
                .filter(|v| !v.is_empty())
                .map(str::to_owned)
        };
        Ok(Self {
            request_id: request_id(source)?,
            stream: parse(source, header::STREAM, parse_bool)?.unwrap_or(false),
            reply_to: text(header::REPLY_TO),
            instance_id: instance_id(source)?,
            timeout_ms: parse(source, header::TIMEOUT_MS, |v| v.parse().ok())?,
            stream_credit: parse(source, header::STREAM_CREDIT, |v| v.parse().ok())?,
            probe: parse_lenient(source, header::PROBE, parse_bool).unwrap_or(false),
            traceparent: text(header::TRACEPARENT),
            tracestate: text(header::TRACESTATE),
        })
    }

    /// Reads no more than tells where an answer goes, from headers that [`read`](Self::read)
    /// refuses.
    #[must_use]
    pub fn read_destination(source: &impl HeaderSource) -> Self {
        Self {
            request_id: request_id(source).unwrap_or_default(),
            stream: parse_lenient(source, header::STREAM, parse_bool).unwrap_or(false),
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
        if self.probe {
            sink.put(header::PROBE, "true");
        }
        put_if_set(sink, header::TRACEPARENT, self.traceparent.as_deref());
        put_if_set(sink, header::TRACESTATE, self.tracestate.as_deref());
    }
}

/// The headers of a reply, and of the copy of an error on `mesh.errors.{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHeaders<'a> {
    /// Whether the body is the output or an error object.
    pub status: Status,
    /// The agent that answered, on ok replies.
    pub source: Option<&'a str>,
    /// The request that is answered.
    pub request_id: Option<RequestId>,
    /// The answering process.
    pub instance_id: Option<InstanceId>,
    /// Tokens and cost of the answer.
    pub usage: Option<Usage>,
}

impl<'a> ReplyHeaders<'a> {
    /// Reads the headers of a reply; unknown ones are ignored.
    ///
    /// A reply without a status is taken as ok: it comes from a service that speaks no more
    /// than NATS.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when a known header has a value that it cannot have.
    pub fn read(source: &'a impl HeaderSource) -> Result<Self, HeaderError> {
        Ok(Self {
            status: parse(source, header::STATUS, Status::parse)?.unwrap_or(Status::Ok),
            source: source.get(header::SOURCE).filter(|v| !v.is_empty()),
            request_id: request_id(source)?,
            instance_id: instance_id(source)?,
            usage: parse_lenient(source, header::USAGE, Usage::parse),
        })
    }

    /// Writes the headers that are set.
    pub fn write(&self, sink: &mut impl HeaderSink) {
        sink.put(header::STATUS, self.status.as_str());
        put_if_set(sink, header::SOURCE, self.source);
        put_if_set(
            sink,
            header::REQUEST_ID,
            self.request_id.as_ref().map(RequestId::as_str),
        );
        put_if_set(
            sink,
            header::INSTANCE_ID,
            self.instance_id.as_ref().map(InstanceId::as_str),
        );
        if let Some(usage) = &self.usage {
            sink.put(header::USAGE, &usage.to_header());
        }
    }
}

/// The headers of a chunk of a streamed reply, and of a publisher's event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkHeaders {
    /// Position in the stream, from 0; absent from the error that ends a stream.
    pub seq: Option<u64>,
    /// Whether the stream ends with this message.
    pub end: bool,
    /// [`Status::Error`] on the error that ends a stream.
    pub status: Option<Status>,
    /// The request that is answered; absent from events.
    pub request_id: Option<RequestId>,
    /// The producing process.
    pub instance_id: Option<InstanceId>,
    /// Tokens and cost of the whole stream, on its end marker.
    pub usage: Option<Usage>,
}

impl ChunkHeaders {
    /// Reads the headers of a chunk or an event; unknown ones are ignored.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when a known header has a value that it cannot have.
    pub fn read(source: &impl HeaderSource) -> Result<Self, HeaderError> {
        Ok(Self {
            seq: parse(source, header::STREAM_SEQ, |v| v.parse().ok())?,
            end: parse(source, header::STREAM_END, parse_bool)?.unwrap_or(false),
            status: parse(source, header::STATUS, Status::parse)?,
            request_id: request_id(source)?,
            instance_id: instance_id(source)?,
            usage: parse_lenient(source, header::USAGE, Usage::parse),
        })
    }

    /// Writes the headers that are set.
    pub fn write(&self, sink: &mut impl HeaderSink) {
        if let Some(seq) = self.seq {
            sink.put(header::STREAM_SEQ, &seq.to_string());
        }
        sink.put(header::STREAM_END, if self.end { "true" } else { "false" });
        if let Some(status) = self.status {
            sink.put(header::STATUS, status.as_str());
        }
        put_if_set(
            sink,
            header::REQUEST_ID,
            self.request_id.as_ref().map(RequestId::as_str),
        );
        put_if_set(
            sink,
            header::INSTANCE_ID,
            self.instance_id.as_ref().map(InstanceId::as_str),
        );
        if let Some(usage) = &self.usage {
            sink.put(header::USAGE, &usage.to_header());
        }
    }
}

/// What a caller tells the host that serves its request, on the reply subject of a chunk or a probe.
///
/// ```
/// use openagentmesh_protocol::{Feedback, Headers};
///
/// let mut headers = Headers::default();
/// Feedback::Credit(8).write(&mut headers);
/// assert_eq!(Feedback::read(&headers), Some(Feedback::Credit(8)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feedback {
    /// It can take so many chunks more.
    Credit(u32),
    /// It does not wait any longer.
    Cancel,
}

impl Feedback {
    /// Reads what a message says; `None` where that is neither, or cannot be understood.
    #[must_use]
    pub fn read(source: &impl HeaderSource) -> Option<Self> {
        if parse_lenient(source, header::CANCEL, parse_bool).unwrap_or(false) {
            return Some(Self::Cancel);
        }
        parse_lenient(source, header::STREAM_CREDIT, |v| v.parse().ok()).map(Self::Credit)
    }

    /// Writes the header that says it.
    pub fn write(self, sink: &mut impl HeaderSink) {
        match self {
            Self::Credit(chunks) => sink.put(header::STREAM_CREDIT, &chunks.to_string()),
            Self::Cancel => sink.put(header::CANCEL, "true"),
        }
    }
}

/// Whether a message on a reply subject is a probe: see [`header::PROBE`].
#[must_use]
pub fn is_probe(source: &impl HeaderSource) -> bool {
    parse_lenient(source, header::PROBE, parse_bool).unwrap_or(false)
}

/// What a raw publish carries: see [`header::CONTENT_TYPE`].
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
    /// Reads what a message says it carries; JSON unless it says otherwise.
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

fn request_id(source: &impl HeaderSource) -> Result<Option<RequestId>, HeaderError> {
    parse(source, header::REQUEST_ID, |v| RequestId::parse(v).ok())
}

fn instance_id(source: &impl HeaderSource) -> Result<Option<InstanceId>, HeaderError> {
    parse(source, header::INSTANCE_ID, |v| InstanceId::parse(v).ok())
}

fn put_if_set(sink: &mut impl HeaderSink, name: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        sink.put(name, value);
    }
}
