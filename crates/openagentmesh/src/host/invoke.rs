//! Running the handler: whatever it does, one request is answered and the agent goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use futures::FutureExt;
use openagentmesh_protocol::{ErrorCode, Verb};
use serde_json::json;
use tokio::time::Instant;

use super::cancellation::{self, CancelReason};
use super::pace::Watch;
use super::request::Request;
use super::service::AgentState;
use super::{reply, stream, validate};
use crate::agent::{DecodeError, Invocation, Once, Run};
use crate::client::mismatch;
use crate::error::{BoxError, Error};
use crate::telemetry::trace;

/// How far a request came whose time was over.
const NOT_STARTED: &str = "before its handler could be started";
pub(super) const NOT_FINISHED: &str = "before its handler had finished";

/// Why a request has no output.
pub(super) enum Unanswered {
    /// Its caller is told this.
    Failed(Error),
    /// Its caller is gone.
    Abandoned,
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs the handler for one request, and answers it.
pub(super) async fn serve(served: &AgentState, request: &Request<'_>) {
    let watch = served.pace.watch();
    let answered = match check(served, request) {
        Err(error) => {
            drop(watch);
            Err(Unanswered::Failed(error))
        }
        Ok(()) => match &served.run {
            Run::Once(function) => answer(served, request, &**function, watch).await,
            // Boxed, so that calls do not carry what streams need.
            Run::Many(function) => {
                let answer = stream::answer(served, request, &**function, watch);
                answer.boxed().await
            }
        },
    };
    if let Err(unanswered) = answered {
        give_up(served, request, unanswered).boxed().await;
    }
}

/// Answers a request that waited for others, and for which there is no need any more to be started.
pub(super) async fn leave_queue(served: &AgentState, request: &Request<'_>, absence: CancelReason) {
    let unanswered = unanswered(served, request, absence, NOT_STARTED);
    give_up(served, request, unanswered).await;
}

async fn give_up(served: &AgentState, request: &Request<'_>, unanswered: Unanswered) {
    match unanswered {
        Unanswered::Failed(error) => reply::error(served, request, error).await,
        Unanswered::Abandoned => {
            tracing::debug!(agent = %served.name, request_id = %request.id, "the caller is gone");
        }
    }
}

/// Refuses what the handler need not see.
fn check(served: &AgentState, request: &Request<'_>) -> Result<(), Error> {
    if let Some(defect) = &request.defect {
        return Err(Error::raised(ErrorCode::InvalidInput, defect.to_string())
            .with_detail("header", defect.name()));
    }
    let verb = if request.headers.stream {
        Verb::Stream
    } else {
        Verb::Call
    };
    if let Some(mismatch) = mismatch(&served.name, served.shape.capabilities(), verb) {
        return Err(mismatch);
    }
    if request
        .deadline
        .is_some_and(|deadline| deadline <= Instant::now())
    {
        return Err(too_late(served, NOT_STARTED));
    }
    validate::restrictions(served, request.body())
}

async fn answer(
    served: &AgentState,
    request: &Request<'_>,
    function: &Once,
    mut watch: Watch<'_>,
) -> Result<(), Unanswered> {
    let running = start(served, request, function)?;
    let running = pin!(trace::in_span(
        &served.name,
        &request.headers,
        AssertUnwindSafe(running).catch_unwind(),
    ));
    let output = tokio::select! {
        biased;
        output = watch.until_it_waits(running) => output,
        absence = cancellation::ended(served, request, None) => {
            return Err(unanswered(served, request, absence, NOT_FINISHED));
        }
    };
    match output {
        Ok(Ok(body)) => {
            reply::output(served, request, body).await;
            Ok(())
        }
        Ok(Err(error)) => Err(failed(error).into()),
        Err(panic) => Err(panicked(&*panic).into()),
    }
}

/// Starts the handler, which may panic before it gives its future or stream as well as later.
pub(super) fn start<T>(
    served: &AgentState,
    request: &Request<'_>,
    function: impl FnOnce(Invocation<'_>) -> Result<T, DecodeError>,
) -> Result<T, Error> {
    let invocation = Invocation {
        body: request.body(),
        context: &|| request.context(served),
    };
    catch_unwind(AssertUnwindSafe(|| function(invocation)))
        .map_err(|panic| panicked(&*panic))?
        .map_err(|error| validate::explain(served, request.body(), error))
}

/// What becomes of a request for whose answer nobody waits; the handler was dropped already.
pub(super) fn unanswered(
    served: &AgentState,
    request: &Request<'_>,
    absence: CancelReason,
    when: &str,
) -> Unanswered {
    request.cancel();
    match absence {
        CancelReason::CallerGone => Unanswered::Abandoned,
        CancelReason::DeadlinePassed => Unanswered::Failed(too_late(served, when)),
        CancelReason::HostStopped => Unanswered::Failed(shut_down()),
    }
}

fn too_late(served: &AgentState, when: &str) -> Error {
    Error::raised(
        ErrorCode::Timeout,
        format!(
            "the time that the caller of agent '{}' gave it was over {when}",
            served.name
        ),
    )
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
pub(super) fn failed(error: BoxError) -> Error {
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

pub(super) fn panicked(panic: &(dyn Any + Send)) -> Error {
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
