//! Runs the handler for one request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use openagentmesh_protocol::{ErrorCode, header};
use tokio::time::Instant;
use tracing::Instrument;

use super::cancellation::cancelled;
use super::outcome::{WorkResult, handler_failed, handler_panicked};
use super::request::Request;
use super::start::start;
use super::state::AgentState;
use super::stream;
use crate::agent::{HandlerFn, StreamFn, UnaryFn};
use crate::client::mismatch;
use crate::error::{Error, Result};
use crate::telemetry::CancelReason;

/// Runs the handler until it ends or the request is cancelled. The handler is dropped then.
pub(super) async fn invoke(agent: &AgentState, request: &Request<'_>) -> WorkResult {
    if let Err(error) = check_envelope(agent, request) {
        return WorkResult::Failed(error);
    }
    if request
        .deadline
        .is_some_and(|deadline| deadline <= Instant::now())
    {
        return WorkResult::Cancelled {
            reason: CancelReason::DeadlineExceeded,
            started: false,
        };
    }
    match &agent.handler {
        HandlerFn::Unary(function) => call(agent, request, function).await,
        // Boxed, so that calls do not carry the state of streams.
        HandlerFn::Stream(function) => stream(agent, request, function).boxed().await,
    }
}

/// Refuses a request with an invalid header, one that may be an answer of the server, one whose reply would be published in the host's name where the
/// caller may not publish, and one whose verb does not fit the agent.
fn check_envelope(agent: &AgentState, request: &Request<'_>) -> Result<()> {
    if let Some(error) = &request.invalid_header {
        return Err(Error::raised(ErrorCode::InvalidInput, error.to_string())
            .with_detail("header", error.name()));
    }
    if let Some(reply) = request.refused_reply() {
        return Err(refuse_reply(agent, reply));
    }
    // On a mesh with users, each can make the server publish JSON of its own to any agent: as the answer to a question. It
    // has no headers of a request.
    if request.headers.request_id.is_none() && agent.session.instance_id.user().is_some() {
        return Err(missing_id(
            "who may call is decided for requests with an id",
        ));
    }
    match mismatch(&agent.name, agent.shape.capabilities(), request.verb()) {
        Some(mismatch) => Err(mismatch),
        None => Ok(()),
    }
}

fn missing_id(cause: &str) -> Error {
    let name = header::REQUEST_ID;
    Error::raised(
        ErrorCode::InvalidInput,
        format!("missing header {name}: {cause}; send one"),
    )
    .with_detail("header", name)
}

/// Counts and logs a refused reply subject. Later ones are logged less and less often: a caller may send any
/// number of them.
fn refuse_reply(agent: &AgentState, reply: &str) -> Error {
    let count = agent.refused_replies.fetch_add(1, Ordering::Relaxed) + 1;
    if count.is_power_of_two() {
        tracing::warn!(agent = %agent.name, reply, count, "request with a refused reply subject");
    }
    Error::raised(
        ErrorCode::InvalidInput,
        format!(
            "reply subject '{reply}' refused: a host replies to inboxes and ordinary subjects; choose one that \
             does not begin with $ and is not one of the mesh's own"
        ),
    )
    .with_detail("reply", reply)
}

async fn call(agent: &AgentState, request: &Request<'_>, function: &Arc<UnaryFn>) -> WorkResult {
    let span = request.span(agent);
    let running = match start(agent, request, &span, function).await {
        Ok(running) => running,
        Err(ended) => return ended,
    };
    let output = tokio::select! {
        biased;
        output = AssertUnwindSafe(running.instrument(span)).catch_unwind() => output,
        reason = cancelled(agent, request, None) => {
            return WorkResult::Cancelled { reason, started: true };
        }
    };
    match output {
        Ok(Ok(body)) => WorkResult::Output(body),
        Ok(Err(error)) => WorkResult::Failed(handler_failed(error)),
        Err(panic) => WorkResult::Failed(handler_panicked(&*panic)),
    }
}

async fn stream(agent: &AgentState, request: &Request<'_>, function: &Arc<StreamFn>) -> WorkResult {
    let Some(id) = request.stream_id() else {
        return WorkResult::Failed(missing_id("the id names the subject of the stream"));
    };
    let span = request.span(agent);
    let chunks = match start(agent, request, &span, function).await {
        Ok(chunks) => chunks,
        Err(ended) => return ended,
    };
    let signals = match agent.signals.stream_handle(request.headers.stream_credit) {
        Ok(signals) => signals,
        Err(error) => return WorkResult::Failed(error),
    };
    tokio::select! {
        biased;
        ended = stream::send_chunks(agent, request, id, &signals, chunks).instrument(span) => ended,
        reason = cancelled(agent, request, Some(&signals)) => {
            WorkResult::Cancelled { reason, started: true }
        }
    }
}
