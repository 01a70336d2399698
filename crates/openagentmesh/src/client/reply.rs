//! Decoding replies, chunks and events.

use openagentmesh_protocol::{ErrorCode, ErrorObject, ReplyHeaders, Status};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::schema::{MAX_MESSAGE_CHARS, is_unit, shorten};
use crate::transport::Received;

/// The output in a reply.
///
/// # Errors
///
/// The error in the reply; `unexpected_reply` when the reply cannot be read or does not fit `Out`.
pub(super) fn decode<Out: DeserializeOwned + 'static>(reply: &async_nats::Message) -> Result<Out> {
    // The status is one of the server, about something else than this request.
    if let Some(status) = reply.status {
        return Err(unexpected(format!(
            "unexpected reply: it has the NATS status {status}"
        )));
    }
    let received = Received(reply.headers.as_ref());
    let headers = ReplyHeaders::read(&received)
        .map_err(|error| unexpected(format!("unexpected reply: {error}")))?;
    match headers.status {
        Status::Error => Err(error(&reply.payload)),
        Status::Ok => output("reply", &reply.payload),
    }
}

/// The reply, if it is an output.
///
/// # Errors
///
/// The error in the reply. A reply that cannot be read is left to [`decode`].
pub(super) fn accept(reply: async_nats::Message) -> Result<async_nats::Message> {
    let received = Received(reply.headers.as_ref());
    let is_error =
        ReplyHeaders::read(&received).is_ok_and(|headers| headers.status == Status::Error);
    match is_error {
        true => Err(error(&reply.payload)),
        false => Ok(reply),
    }
}

/// The error with which the agent ended a request.
pub(super) fn error(body: &[u8]) -> Error {
    match serde_json::from_slice::<ErrorObject>(body) {
        Ok(object) => object.into(),
        Err(error) => unexpected(format!(
            "unexpected reply: the agent failed, and its error cannot be read: {error}"
        )),
    }
}

/// Decodes the body of a `what`, which is a reply, a chunk or an event.
///
/// # Errors
///
/// `unexpected_reply` when the body does not fit `Out`.
pub(super) fn output<Out: DeserializeOwned + 'static>(what: &str, body: &[u8]) -> Result<Out> {
    // `()` accepts any body.
    let body: &[u8] = if is_unit::<Out>() || body.is_empty() {
        b"null"
    } else {
        body
    };
    serde_json::from_slice(body).map_err(|error| {
        // The error of a wrong type repeats the text that the peer sent.
        let reason = shorten(&error, MAX_MESSAGE_CHARS);
        let is_whole = reason == error.to_string();
        let unexpected = unexpected(format!(
            "unexpected {what}: it cannot be read as {}: {reason}; see the agent's contract for its schema",
            short_type_name(std::any::type_name::<Out>())
        ));
        match is_whole {
            true => unexpected.with_source(error),
            false => unexpected.with_source(reason),
        }
    })
}

/// A type's name without the paths of its parts: `Option<String>` for
/// `core::option::Option<alloc::string::String>`.
fn short_type_name(full: &str) -> String {
    let mut short = String::with_capacity(full.len());
    let mut start = 0;
    for (index, separator) in
        full.match_indices(|c: char| !(c.is_alphanumeric() || "_:".contains(c)))
    {
        short.push_str(last_segment(&full[start..index]));
        short.push_str(separator);
        start = index + separator.len();
    }
    short.push_str(last_segment(&full[start..]));
    short
}

fn last_segment(path: &str) -> &str {
    path.rsplit_once("::").map_or(path, |(_, last)| last)
}

pub(super) fn unexpected(message: String) -> Error {
    Error::raised(ErrorCode::UnexpectedReply, message)
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn large_error_has_no_details() {
        for (count, has_details) in [(10, true), (1_000_000, false)] {
            let list = "1,".repeat(count) + "1";
            let body = format!(
                r#"{{"code":"full","message":"no","agent":null,"details":{{"all":[{list}]}}}}"#
            );
            let error = error(body.as_bytes());
            assert_eq!(error.code().as_str(), "full");
            assert_eq!(error.message(), "no");
            assert_eq!(!error.details().is_empty(), has_details);
        }
    }

    #[test]
    fn text_of_a_wrong_type_is_shortened_in_the_error() {
        let body = format!("\"{}\"", "x".repeat(8_000_000));
        let error = output::<u32>("reply", body.as_bytes())
            .err()
            .map(|error| error.message().len());
        assert!(error.is_some_and(|length| length < 1_000), "{error:?}");
    }

    #[test]
    fn short_type_name_has_no_paths() {
        let cases = [
            (type_name::<String>(), "String"),
            (type_name::<u32>(), "u32"),
            (
                type_name::<BTreeMap<String, Vec<Option<serde_json::Value>>>>(),
                "BTreeMap<String, Vec<Option<Value>>>",
            ),
            (type_name::<(String, [u8; 2])>(), "(String, [u8; 2])"),
        ];
        for (full, short) in cases {
            assert_eq!(short_type_name(full), short);
        }
    }
}
