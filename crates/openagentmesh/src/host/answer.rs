//! Answers a request: the one place that decides the answer to each outcome.

use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{ErrorCode, Visible};

use super::outcome::{WorkResult, deadline_exceeded, run_timed_out, shut_down};
use super::request::Request;
use super::state::AgentState;
use super::{reply, stream};
use crate::error::Error;
use crate::telemetry::{CancelReason, Outcome};

/// Answers a request whose work has ended, and returns its outcome.
///
/// | work | answer |
/// |---|---|
/// | output of a call | the output |
/// | end of a stream | the end marker |
/// | failure | the error |
/// | deadline exceeded | the error `timeout` |
/// | shutdown | the error `not_available` |
/// | caller disconnected | none |
pub(super) async fn answer(
    agent: &AgentState,
    request: &Request<'_>,
    result: WorkResult,
) -> Outcome {
    match result {
        WorkResult::Output(body) => output(agent, request, body).await,
        // Boxed, so that calls with an output do not carry the rest.
        WorkResult::Stream => end_of_stream(agent, request).boxed().await,
        WorkResult::Failed(error) => failed(agent, request, error).boxed().await,
        WorkResult::Cancelled { reason, started } => {
            cancelled(agent, request, reason, started).boxed().await
        }
    }
}

async fn output(agent: &AgentState, request: &Request<'_>, body: Bytes) -> Outcome {
    match reply::output(agent, request, body).await {
        Ok(()) => Outcome::Replied,
        Err(error) => not_sent(agent, request, error).boxed().await,
    }
}

async fn end_of_stream(agent: &AgentState, request: &Request<'_>) -> Outcome {
    let Some(id) = request.stream_id() else {
        return Outcome::Replied;
    };
    match stream::end_marker(agent, request, id).await {
        Ok(()) => Outcome::Replied,
        Err(error) => not_sent(agent, request, error).await,
    }
}

/// An answer that is too large is replaced by an error. If the connection is closed, nothing is sent.
async fn not_sent(agent: &AgentState, request: &Request<'_>, error: Error) -> Outcome {
    if *error.code() == ErrorCode::PayloadTooLarge {
        return failed(agent, request, error).await;
    }
    reply::not_sent(agent, &error);
    Outcome::Failed(error)
}

async fn failed(agent: &AgentState, request: &Request<'_>, error: Error) -> Outcome {
    Outcome::Failed(reply::error(agent, request, error).await)
}

async fn cancelled(
    agent: &AgentState,
    request: &Request<'_>,
    reason: CancelReason,
    started: bool,
) -> Outcome {
    tracing::debug!(agent = %agent.name, request_id = %Visible(&request.id), %reason, "request cancelled");
    match reason {
        CancelReason::CallerDisconnected => {}
        CancelReason::DeadlineExceeded => {
            let error = match request.timeout {
                Some(timeout) => run_timed_out(&agent.name, timeout),
                None => deadline_exceeded(&agent.name, started),
            };
            reply::error(agent, request, error).await;
        }
        CancelReason::Shutdown => {
            reply::error(agent, request, shut_down(started)).await;
        }
    }
    Outcome::Cancelled(reason)
}
