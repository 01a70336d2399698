//! Decoding replies, chunks and events.

use openagentmesh_protocol::{ErrorCode, ErrorObject, ReplyHeaders, Status};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::schema::is_unit;
use crate::transport::Received;

/// The output in a reply.
///
/// # Errors
///
/// The error in the reply; `unexpected_reply` when the reply cannot be read or does not fit `Out`.
pub(super) fn decode<Out: DeserializeOwned + 'static>(reply: &async_nats::Message) -> Result<Out> {
    let received = Received(reply.headers.as_ref());
    let headers = ReplyHeaders::read(&received)
        .map_err(|error| unexpected(format!("unexpected reply: {error}")))?;
    match headers.status {
        Status::Error => Err(error(&reply.payload)),
        Status::Ok => output("reply", &reply.payload),
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
        unexpected(format!(
            "unexpected {what}: not a {}: {error}; see the agent's contract for its schema",
            std::any::type_name::<Out>()
        ))
        .with_source(error)
    })
}

pub(super) fn unexpected(message: String) -> Error {
    Error::raised(ErrorCode::UnexpectedReply, message)
}
