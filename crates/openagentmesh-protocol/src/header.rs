//! Header names, and the traits by which envelopes read and write headers.

/// `X-Mesh-Request-Id`: on every request, echoed on every reply, chunk and error.
pub const REQUEST_ID: &str = "X-Mesh-Request-Id";
/// `X-Mesh-Stream`: `true` on a request asks for a stream.
pub const STREAM: &str = "X-Mesh-Stream";
/// `X-Mesh-Reply-To`: on a request, a reply subject chosen by the sender.
pub const REPLY_TO: &str = "X-Mesh-Reply-To";
/// `X-Mesh-Status`: `ok` or `error`, on replies and errors.
pub const STATUS: &str = "X-Mesh-Status";
/// `X-Mesh-Source`: the agent's name, on ok replies.
pub const SOURCE: &str = "X-Mesh-Source";
/// `X-Mesh-Instance-Id`: the sending process.
pub const INSTANCE_ID: &str = "X-Mesh-Instance-Id";
/// `X-Mesh-Stream-Seq`: 0, 1, 2 … on chunks and events.
pub const STREAM_SEQ: &str = "X-Mesh-Stream-Seq";
/// `X-Mesh-Stream-End`: `true` on the message that ends a stream, `false` on the others.
pub const STREAM_END: &str = "X-Mesh-Stream-End";
/// `X-Mesh-Stream-Credit`: number of further chunks that the consumer can take.
pub const STREAM_CREDIT: &str = "X-Mesh-Stream-Credit";
/// `X-Mesh-Stream-Batch`: `1` on a request for a stream: a message may have several chunks.
pub const STREAM_BATCH: &str = "X-Mesh-Stream-Batch";
/// `X-Mesh-Stream-Count`: number of chunks in a message that has several, one compact JSON text a line.
pub const STREAM_COUNT: &str = "X-Mesh-Stream-Count";
/// `X-Mesh-Content-Type`: format of a raw publish's body.
pub const CONTENT_TYPE: &str = "X-Mesh-Content-Type";
/// `X-Mesh-Usage`: tokens and cost of an answer, as JSON.
pub const USAGE: &str = "X-Mesh-Usage";
/// `X-Mesh-Timeout-Ms`: on a request, the caller's timeout in milliseconds.
pub const TIMEOUT_MS: &str = "X-Mesh-Timeout-Ms";
/// `X-Mesh-Probe`: `true` on a request whose caller answers probes; `true` or `answer` on a probe, the
/// message by which a host checks that a caller still waits on the reply subject. A caller that still waits answers only
/// `answer`, with `true` on a message to the reply subject of the probe.
pub const PROBE: &str = "X-Mesh-Probe";
/// `X-Mesh-Cancel`: `true` on a message to the reply subject of a probe or a chunk: the caller has
/// stopped waiting for the answer.
pub const CANCEL: &str = "X-Mesh-Cancel";
/// `X-Mesh-Idempotency-Key`: on a request, the same value for every attempt at it.
pub const IDEMPOTENCY_KEY: &str = "X-Mesh-Idempotency-Key";
/// All headers above, which begin with `X-Mesh-`, in their spelling.
pub const X_MESH: &[&str] = &[
    REQUEST_ID,
    STREAM,
    REPLY_TO,
    STATUS,
    SOURCE,
    INSTANCE_ID,
    STREAM_SEQ,
    STREAM_END,
    STREAM_CREDIT,
    STREAM_BATCH,
    STREAM_COUNT,
    CONTENT_TYPE,
    USAGE,
    TIMEOUT_MS,
    PROBE,
    CANCEL,
    IDEMPOTENCY_KEY,
];

/// `traceparent`: the W3C trace context of a request.
pub const TRACEPARENT: &str = "traceparent";
/// `tracestate`: the vendor-specific part of the W3C trace context of a request.
pub const TRACESTATE: &str = "tracestate";
/// `KV-Operation`: `DEL` or `PURGE` on the message that removes a key.
pub const KV_OPERATION: &str = "KV-Operation";
/// `Nats-Expected-Last-Subject-Sequence`: the expected revision of a compare-and-swap.
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";

/// A source of headers: a received message.
pub trait HeaderSource {
    /// Calls `visit` with each name and its first value.
    fn each<'s>(&'s self, visit: impl FnMut(&'s str, &'s str));

    /// The first value of `name`; names are compared case-insensitively.
    fn get(&self, name: &str) -> Option<&str> {
        let mut found = None;
        self.each(|spelled, value| {
            if found.is_none() && spelled.eq_ignore_ascii_case(name) {
                found = Some(value);
            }
        });
        found
    }
}

/// A destination of headers: a message to be sent.
pub trait HeaderSink {
    /// Adds `name` with `value`.
    fn put(&mut self, name: &'static str, value: &str);
}

/// A plain list of headers, in insertion order.
///
/// ```
/// use openagentmesh_protocol::{HeaderSource, Headers};
///
/// let headers: Headers = [("x-mesh-status", "ok")].into_iter().collect();
/// assert_eq!(headers.get("X-Mesh-Status"), Some("ok"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Name and value of each header, in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The first value of header `name`, compared without regard to case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Sets header `name` to `value`, in place of all its values before, whatever their case.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        self.0.push((name, value.into()));
    }

    /// Removes header `name`, compared without regard to case.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }
}

impl HeaderSource for Headers {
    fn each<'s>(&'s self, mut visit: impl FnMut(&'s str, &'s str)) {
        self.iter().for_each(|(name, value)| visit(name, value));
    }
}

impl HeaderSink for Headers {
    fn put(&mut self, name: &'static str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        Self(
            iter.into_iter()
                .map(|(n, v)| (n.into(), v.into()))
                .collect(),
        )
    }
}

/// A header has an invalid value. The message says which values are allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid header {name}: got {value:?}, expected {}", expected(.name))]
pub struct HeaderError {
    name: &'static str,
    value: String,
}

impl HeaderError {
    pub(crate) fn new(name: &'static str, value: &str) -> Self {
        const MAX_SHOWN_CHARS: usize = 64;
        Self {
            name,
            value: value.chars().take(MAX_SHOWN_CHARS).collect(),
        }
    }

    /// The header's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The values of the protocol's headers, collected in one pass over the message.
#[derive(Default)]
pub(crate) struct Known<'s> {
    pub(crate) request_id: Option<&'s str>,
    pub(crate) stream: Option<&'s str>,
    pub(crate) reply_to: Option<&'s str>,
    pub(crate) status: Option<&'s str>,
    pub(crate) source: Option<&'s str>,
    pub(crate) instance_id: Option<&'s str>,
    pub(crate) stream_seq: Option<&'s str>,
    pub(crate) stream_end: Option<&'s str>,
    pub(crate) stream_credit: Option<&'s str>,
    pub(crate) stream_batch: Option<&'s str>,
    pub(crate) stream_count: Option<&'s str>,
    pub(crate) usage: Option<&'s str>,
    pub(crate) timeout_ms: Option<&'s str>,
    pub(crate) probe: Option<&'s str>,
    pub(crate) cancel: Option<&'s str>,
    pub(crate) traceparent: Option<&'s str>,
    pub(crate) tracestate: Option<&'s str>,
}

impl<'s> Known<'s> {
    pub(crate) fn read(source: &'s impl HeaderSource) -> Self {
        let mut known = Self::default();
        let mut other_case = false;
        source.each(|name, value| match known.field(name) {
            Some(field) => _ = field.get_or_insert(value),
            None => other_case |= canonical(name).is_some(),
        });
        // The canonical spelling takes precedence, so other spellings need a second pass. Nearly
        // every peer uses the canonical spelling.
        if other_case {
            source.each(|name, value| {
                if let Some(field) = canonical(name).and_then(|name| known.field(name)) {
                    field.get_or_insert(value);
                }
            });
        }
        known
    }

    /// The field of the header `name` in its canonical spelling.
    fn field(&mut self, name: &str) -> Option<&mut Option<&'s str>> {
        Some(match name {
            REQUEST_ID => &mut self.request_id,
            STREAM => &mut self.stream,
            REPLY_TO => &mut self.reply_to,
            STATUS => &mut self.status,
            SOURCE => &mut self.source,
            INSTANCE_ID => &mut self.instance_id,
            STREAM_SEQ => &mut self.stream_seq,
            STREAM_END => &mut self.stream_end,
            STREAM_CREDIT => &mut self.stream_credit,
            STREAM_BATCH => &mut self.stream_batch,
            STREAM_COUNT => &mut self.stream_count,
            USAGE => &mut self.usage,
            TIMEOUT_MS => &mut self.timeout_ms,
            PROBE => &mut self.probe,
            CANCEL => &mut self.cancel,
            TRACEPARENT => &mut self.traceparent,
            TRACESTATE => &mut self.tracestate,
            _ => return None,
        })
    }
}

/// The canonical spelling of a header name; names are compared case-insensitively.
fn canonical(name: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        REQUEST_ID,
        STREAM,
        REPLY_TO,
        STATUS,
        SOURCE,
        INSTANCE_ID,
        STREAM_SEQ,
        STREAM_END,
        STREAM_CREDIT,
        STREAM_BATCH,
        STREAM_COUNT,
        USAGE,
        TIMEOUT_MS,
        PROBE,
        CANCEL,
        TRACEPARENT,
        TRACESTATE,
    ];
    let is_known = |known: &&&str| known.eq_ignore_ascii_case(name);
    NAMES.iter().find(is_known).copied()
}

/// The allowed values of the header `name`, for error messages.
fn expected(name: &str) -> &'static str {
    match name {
        REQUEST_ID => "1 to 128 letters, digits, '_' and '-', with single dots between them",
        INSTANCE_ID => "1 to 128 letters, digits, '_' and '-'",
        STREAM_COUNT => "a whole number from 1 in decimal digits",
        STREAM | STREAM_END => "true or false",
        STATUS => "ok or error",
        _ => "a whole number in decimal digits",
    }
}

/// Parses the value of a header. An absent or empty header is `None`.
pub(crate) fn parse<T>(
    value: Option<&str>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, HeaderError> {
    match value {
        None | Some("") => Ok(None),
        Some(value) => parse(value)
            .map(Some)
            .ok_or_else(|| HeaderError::new(name, value)),
    }
}

pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether a flag is set. Flags are hints, so an invalid value reads as unset.
pub(crate) fn is_true(value: Option<&str>) -> bool {
    value.and_then(parse_bool).unwrap_or(false)
}
