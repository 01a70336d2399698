//! Reading what an agent answered.

use openagentmesh_protocol::{ErrorCode, ErrorObject, ReplyHeaders, Status};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::schema::is_unit;
use crate::transport::Received;

/// The output or the error that a reply carries.
pub(super) fn decode<Out: DeserializeOwned + 'static>(reply: &async_nats::Message) -> Result<Out> {
    let received = Received(reply.headers.as_ref());
    let headers = ReplyHeaders::read(&received)
        .map_err(|error| unreadable(format!("the reply cannot be read: {error}")))?;
    match headers.status {
        Status::Error => Err(error(&reply.payload)),
        Status::Ok => output("reply", &reply.payload),
    }
}

/// The error object that ended a request.
pub(super) fn error(body: &[u8]) -> Error {
    match serde_json::from_slice::<ErrorObject>(body) {
        Ok(object) => object.into(),
        Err(error) => unreadable(format!(
            "the agent failed with an error that cannot be read: {error}"
        )),
    }
}

/// Reads a body as `Out`.
pub(super) fn output<Out: DeserializeOwned + 'static>(what: &str, body: &[u8]) -> Result<Out> {
    // `()` asks for nothing, whatever there is.
    let body: &[u8] = if is_unit::<Out>() || body.is_empty() {
        b"null"
    } else {
        body
    };
    serde_json::from_slice(body).map_err(|error| {
        unreadable(format!(
            "the {what} is not a {}: {error}; the agent's contract tells what it is",
            std::any::type_name::<Out>()
        ))
        .with_source(error)
    })
}

fn unreadable(what: String) -> Error {
    Error::raised(ErrorCode::HandlerError, what)
}
