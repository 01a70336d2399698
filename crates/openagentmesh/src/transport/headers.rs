//! Between the protocol's envelopes and the messages of the NATS client.

use std::str::FromStr;

use async_nats::{Client, HeaderMap, HeaderName};
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
    // Where several spellings are there, this one counts.
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

/// All headers, without the types of the client.
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

/// Headers that many messages have in common. To copy them and change one costs a fraction of making all
/// of them anew, and the client has no cheaper way to send any.
pub(crate) struct Template(HeaderMap);

impl Template {
    /// `write` writes the headers that are the same in all messages, and may write those that differ
    /// with any value. That is better where there are four or more of both: then there is room to
    /// replace one, while a table of three would be made larger before.
    pub(crate) fn new(write: impl FnOnce(&mut Outgoing)) -> Self {
        let mut headers = Outgoing::default();
        write(&mut headers);
        Self(headers.0)
    }

    /// The headers of a message, to which those that differ are to be put.
    pub(crate) fn copy(&self) -> Outgoing {
        Outgoing(self.0.clone())
    }
}

/// Refuses a subject that the server would not take.
///
/// # Errors
///
/// `invalid_input`, with the reason.
pub(crate) fn check_subject(subject: &str, wildcards: bool) -> Result<()> {
    let segments: Vec<&str> = subject.split('.').collect();
    let reason = if subject.is_empty() {
        "it is empty".to_owned()
    } else if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "it has a space".to_owned()
    } else if segments.contains(&"") {
        "one of its segments is empty".to_owned()
    } else if !wildcards && segments.iter().any(|segment| matches!(*segment, "*" | ">")) {
        "it has a wildcard, and a message goes to one subject".to_owned()
    } else if segments.iter().rev().skip(1).any(|segment| *segment == ">") {
        "`>` stands for all segments that follow, so nothing can follow it".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::raised(
        ErrorCode::InvalidInput,
        format!("'{subject}' is no subject: {reason}"),
    ))
}

/// Refuses a message that the server would answer by closing the connection.
pub(crate) fn check_size(client: &Client, headers: &HeaderMap, body: usize) -> Result<()> {
    let limit = client.max_payload();
    let size = headers_size(headers) + body;
    if size > limit {
        return Err(too_large("the message", size, limit));
    }
    Ok(())
}

pub(crate) fn too_large(what: &str, size: usize, limit: usize) -> Error {
    Error::raised(
        ErrorCode::PayloadTooLarge,
        format!(
            "{what} has {size} bytes with its headers, and the server carries at most {limit}; \
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

/// What the headers take on the wire: a version line, a line each, an empty line.
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
