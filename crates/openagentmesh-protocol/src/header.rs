//! Header names, and the two traits through which envelopes read and write them.

/// `X-Mesh-Request-Id`: on every request, echoed on every reply, chunk and error.
pub const REQUEST_ID: &str = "X-Mesh-Request-Id";
/// `X-Mesh-Stream`: `true` on a request asks for a stream.
pub const STREAM: &str = "X-Mesh-Stream";
/// `X-Mesh-Reply-To`: on a request whose sender chose the reply subject itself.
pub const REPLY_TO: &str = "X-Mesh-Reply-To";
/// `X-Mesh-Status`: `ok` or `error`, on replies and errors.
pub const STATUS: &str = "X-Mesh-Status";
/// `X-Mesh-Source`: the agent's name, on ok replies.
pub const SOURCE: &str = "X-Mesh-Source";
/// `X-Mesh-Instance-Id`: the sending process.
pub const INSTANCE_ID: &str = "X-Mesh-Instance-Id";
/// `X-Mesh-Stream-Seq`: 0, 1, 2 … on chunks and events.
pub const STREAM_SEQ: &str = "X-Mesh-Stream-Seq";
/// `X-Mesh-Stream-End`: `true` on the message that ends a stream, `false` on those before.
pub const STREAM_END: &str = "X-Mesh-Stream-End";
/// `X-Mesh-Stream-Credit`: how many more chunks the consumer can take.
pub const STREAM_CREDIT: &str = "X-Mesh-Stream-Credit";
/// `X-Mesh-Content-Type`: what a raw publish carries.
pub const CONTENT_TYPE: &str = "X-Mesh-Content-Type";
/// `X-Mesh-Usage`: tokens and cost of an answer, as JSON.
pub const USAGE: &str = "X-Mesh-Usage";
/// `X-Mesh-Timeout-Ms`: on a request, how long its caller will wait.
pub const TIMEOUT_MS: &str = "X-Mesh-Timeout-Ms";
/// `X-Mesh-Probe`: on a request, `true` says that its caller answers probes; on a message to the
/// request's reply subject, it is one: the host asks whether anybody still waits.
pub const PROBE: &str = "X-Mesh-Probe";
/// `X-Mesh-Cancel`: `true` on a message to a reply subject that a host gave with a probe or a chunk:
/// nobody waits for the answer any more.
pub const CANCEL: &str = "X-Mesh-Cancel";
/// `traceparent`: the W3C trace context of a request.
pub const TRACEPARENT: &str = "traceparent";
/// `tracestate`: the vendors' part of the W3C trace context of a request.
pub const TRACESTATE: &str = "tracestate";
/// `KV-Operation`: `DEL` or `PURGE` on the message that removes a key.
pub const KV_OPERATION: &str = "KV-Operation";
/// `Nats-Expected-Last-Subject-Sequence`: the revision that a compare-and-swap expects.
pub const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";

/// Where headers are read from.
pub trait HeaderSource {
    /// The first value of `name`, compared without regard to case.
    fn get(&self, name: &str) -> Option<&str>;
}

/// Where headers are written to.
pub trait HeaderSink {
    /// Adds `name` with `value`.
    fn put(&mut self, name: &'static str, value: &str);
}

/// A plain list of headers, in the order they were added.
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
    /// The headers as name and value, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

impl HeaderSource for Headers {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
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

/// A header whose value does not fit the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {name} has the value {value:?}, which it cannot have")]
pub struct HeaderError {
    name: &'static str,
    value: String,
}

impl HeaderError {
    pub(crate) fn new(name: &'static str, value: &str) -> Self {
        const SHOWN: usize = 64;
        Self {
            name,
            value: value.chars().take(SHOWN).collect(),
        }
    }

    /// The header's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// An absent or empty header is `None`; what does not parse is an error.
pub(crate) fn parse<T>(
    source: &impl HeaderSource,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, HeaderError> {
    match source.get(name) {
        None | Some("") => Ok(None),
        Some(value) => parse(value)
            .map(Some)
            .ok_or_else(|| HeaderError::new(name, value)),
    }
}

/// Like [`parse`], for what only informs: a value that does not parse is as good as none.
pub(crate) fn parse_lenient<T>(
    source: &impl HeaderSource,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    source.get(name).and_then(parse)
}

pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
