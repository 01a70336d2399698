//! Conversions between the protocol's envelopes and the messages of the NATS client.

use std::str::FromStr;

use async_nats::{HeaderMap, HeaderName, Message};
use openagentmesh_protocol::{ErrorCode, HeaderSink, HeaderSource, Headers};

use crate::error::{Error, Result};

/// The headers of a message that arrived.
pub(crate) struct Received<'a>(pub(crate) Option<&'a HeaderMap>);

impl HeaderSource for Received<'_> {
    fn each<'s>(&'s self, mut visit: impl FnMut(&'s str, &'s str)) {
        for (name, values) in self.0.into_iter().flat_map(HeaderMap::iter) {
            if let Some(value) = values.first() {
                visit(name.as_ref(), value.as_str());
            }
        }
    }
}

/// The first value of header `name`, compared without regard to case.
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    // If there are several spellings, this one takes precedence.
    let exact = HeaderName::from_str(name).ok();
    if let Some(value) = exact.and_then(|name| headers.get(name)) {
        return Some(value.as_str());
    }
    headers
        .iter()
        .find(|(spelled, _)| {
            let spelled: &str = spelled.as_ref();
            spelled.eq_ignore_ascii_case(name)
        })
        .and_then(|(_, values)| values.first())
        .map(|value| value.as_str())
}

/// All headers, as the type of the protocol.
pub(crate) fn plain_headers(headers: Option<&HeaderMap>) -> Headers {
    headers
        .into_iter()
        .flat_map(HeaderMap::iter)
        .flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            values.iter().map(move |value| (name, value.as_str()))
        })
        .collect()
}

/// The headers of a message to be sent.
#[derive(Default)]
pub(crate) struct Outgoing(pub(crate) HeaderMap);

impl HeaderSink for Outgoing {
    fn put(&mut self, name: &'static str, value: &str) {
        self.0.insert(HeaderName::from_static(name), value);
    }
}

/// Checks a subject by the server's rules.
///
/// # Errors
///
/// `invalid_input`, with the rule that `subject` breaks.
pub(crate) fn check_subject(subject: &str, wildcards: bool) -> Result<()> {
    let segments: Vec<&str> = subject.split('.').collect();
    let reason = if subject.is_empty() {
        "a subject has at least one character"
    } else if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "spaces and control characters are not allowed"
    } else if segments.contains(&"") {
        "a segment is empty"
    } else if !wildcards && segments.iter().any(|segment| matches!(*segment, "*" | ">")) {
        "wildcards are not allowed; a message goes to one subject"
    } else if segments.iter().rev().skip(1).any(|segment| *segment == ">") {
        "`>` is the last segment, nothing can follow it"
    } else {
        return Ok(());
    };
    Err(Error::raised(
        ErrorCode::InvalidInput,
        format!("invalid subject '{subject}': {reason}"),
    ))
}

/// The size of a message with `headers` and a body of `body` bytes, in bytes.
pub(super) fn message_size(headers: &HeaderMap, body: usize) -> usize {
    headers_size(headers) + body
}

/// Checks a message of `size` bytes against the server's `limit`. The server closes the connection on a larger one.
///
/// # Errors
///
/// `payload_too_large`, with `details.size` and `details.limit` in bytes.
pub(super) fn check_limit(size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(too_large("the message", size, limit));
    }
    Ok(())
}

pub(crate) fn too_large(what: &str, size: usize, limit: usize) -> Error {
    Error::raised(
        ErrorCode::PayloadTooLarge,
        format!(
            "{what} is too large: {size} bytes with its headers, and the server carries at most {limit}; \
             send less, pass a reference to shared data, or raise max_payload at the server"
        ),
    )
    .with_detail("size", size)
    .with_detail("limit", limit)
}

pub(crate) fn closed(reason: impl Into<String>) -> Error {
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!("the connection to the mesh is closed: {}", reason.into()),
    )
}

/// The error of a request that ended with the client by which it was made.
pub(crate) fn interrupted(reason: &str) -> Error {
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!(
            "the connection to the mesh was lost: {reason} when the NATS client ended on a message that it cannot \
             read; the request may have been executed"
        ),
    )
}

/// The size of the headers on the wire, in bytes: a version line, a line each, an empty line.
fn headers_size(headers: &HeaderMap) -> usize {
    const VERSION_LINE: usize = "NATS/1.0\r\n".len();
    const SEPARATORS: usize = ": \r\n".len();
    const EMPTY_LINE: usize = "\r\n".len();
    let lines: usize = headers
        .iter()
        .flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            let name = name.len();
            values
                .iter()
                .map(move |value| name + value.as_str().len() + SEPARATORS)
        })
        .sum();
    if headers.is_empty() {
        0
    } else {
        VERSION_LINE + lines + EMPTY_LINE
    }
}

/// The estimated memory of a message, in bytes. A header takes much more than on the wire.
pub(crate) fn memory(message: &Message) -> usize {
    const MESSAGE_OVERHEAD_BYTES: usize = 256;
    const NAME_OVERHEAD_BYTES: usize = 160;
    const VALUE_OVERHEAD_BYTES: usize = 64;

    let headers = message.headers.iter().flat_map(HeaderMap::iter);
    let overhead: usize = headers
        .map(|(_, values)| NAME_OVERHEAD_BYTES + values.len() * VALUE_OVERHEAD_BYTES)
        .sum();
    message.length + MESSAGE_OVERHEAD_BYTES + overhead
}
