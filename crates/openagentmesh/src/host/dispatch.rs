//! Running the handler: whatever it does, one request is answered and the agent goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::ErrorCode;
use serde_json::json;

use super::decode::Request;
use super::service::Served;
use super::validate;
use crate::error::{BoxError, Error};

/// Runs the handler for one request and returns the body of its reply.
pub(super) async fn run(served: &Served, request: &Request, body: &Bytes) -> Result<Bytes, Error> {
    if let Some(defect) = &request.defect {
        return Err(Error::raised(ErrorCode::InvalidInput, defect.to_string())
            .with_detail("header", defect.name()));
    }
    if request.stream {
        return Err(Error::raised(
            ErrorCode::InvocationMismatch,
            format!(
                "agent '{}' gives one reply: use call() instead of stream()",
                served.name
            ),
        ));
    }
    validate::restrictions(served, body)?;
    // A handler may panic before it returns its future as well as later.
    let started = catch_unwind(AssertUnwindSafe(|| served.handler.start(body)))
        .map_err(|panic| panicked(&*panic))?;
    let running = started.map_err(|error| validate::explain(served, body, error))?;
    tokio::select! {
        biased;
        output = AssertUnwindSafe(running).catch_unwind() => match output {
            Ok(output) => output.map_err(failed),
            Err(panic) => Err(panicked(&*panic)),
        },
        () = served.abort.cancelled() => Err(shut_down()),
    }
}

/// What a caller is told whose request the host could not finish.
pub(super) fn shut_down() -> Error {
    Error::raised(
        ErrorCode::NotAvailable,
        "the host shut down before the handler finished; try again, another host may serve it",
    )
}

/// An error that the handler made for its callers keeps its code. One that it met on the mesh
/// is not this agent's own: it becomes the cause of a handler error.
fn failed(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) if error.is_made_for_callers() => *error,
        Ok(error) => Error::raised(ErrorCode::HandlerError, error.message())
            .with_detail("cause", json!(error.to_object())),
        Err(error) => Error::raised(ErrorCode::HandlerError, with_causes(&*error)),
    }
}

/// The message of an error and of what caused it, each said once.
fn with_causes(error: &(dyn std::error::Error + Send + Sync)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let reason = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::raised(
        ErrorCode::HandlerError,
        format!("the handler panicked: {reason}"),
    )
}
