//! The result of the work on a request, and the errors that the host answers.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use openagentmesh_protocol::{AgentName, ErrorCode};
use serde_json::json;

use crate::error::{BoxError, Error, with_causes};
use crate::telemetry::CancelReason;
use crate::util::panic::panic_message;

/// The result of the work on a request. The chunks of a stream were sent; the rest still has to be answered.
pub(super) enum WorkResult {
    /// The handler of a call returned this output.
    Output(Bytes),
    /// The handler's stream has ended; all its chunks were sent.
    Stream,
    /// The request was refused, or the handler failed.
    Failed(Error),
    /// The handler was dropped, or was never started.
    Cancelled {
        reason: CancelReason,
        /// Whether the handler had been started.
        started: bool,
    },
}

/// The answer to a request whose deadline has passed.
pub(super) fn deadline_exceeded(agent: &AgentName, started: bool) -> Error {
    let stage = if started { "finished" } else { "started" };
    Error::raised(
        ErrorCode::Timeout,
        format!("deadline exceeded before the handler of agent '{agent}' {stage}"),
    )
}

/// The answer to a request whose handler ran longer than the timeout of its agent.
pub(crate) fn run_timed_out(agent: &AgentName, timeout: Duration) -> Error {
    Error::raised(
        ErrorCode::Timeout,
        format!(
            "the handler of agent '{agent}' did not finish within the agent's timeout of {timeout:?}"
        ),
    )
}

/// The answer to a request that was cancelled by a shutdown. `started` says whether its handler had started.
pub(super) fn shut_down(started: bool) -> Error {
    let error = Error::raised(
        ErrorCode::NotAvailable,
        "request cancelled: the host shut down before the handler finished; try again",
    );
    match started {
        // Callers repeat the request only if the agent is idempotent.
        true => error.with_detail("started", true),
        false => error,
    }
}

/// The answer to a request whose handler failed with `error`.
pub(crate) fn handler_failed(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => own_error(*error),
        Err(error) => Error::raised(ErrorCode::HandlerError, with_causes(&*error)),
    }
}

/// An error that the program made for its callers keeps its code. Any other error of the SDK, such as one
/// of a call that the handler made, becomes the cause of a `handler_error`, and so does one with a code that
/// is only raised locally.
pub(super) fn own_error(error: Error) -> Error {
    if error.is_made_for_callers() && !ErrorCode::LOCAL.contains(error.code()) {
        return error;
    }
    Error::raised(ErrorCode::HandlerError, error.message())
        .with_detail("cause", json!(error.to_object()))
}

/// The answer to a request whose handler panicked.
pub(crate) fn handler_panicked(panic: &(dyn Any + Send)) -> Error {
    Error::raised(
        ErrorCode::HandlerError,
        format!("the handler panicked: {}", panic_message(panic)),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Failure(&'static str, Option<Box<Failure>>);

    impl fmt::Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Failure {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn handler_error_with_causes_says_each_message_once() {
        let cause = Failure("the disk is full", None);
        let repeated = Failure("cannot write", Some(Box::new(cause)));
        let error = Failure("cannot write", Some(Box::new(repeated)));
        let answered = handler_failed(Box::new(error));
        assert_eq!(answered.code(), &ErrorCode::HandlerError);
        assert_eq!(answered.message(), "cannot write: the disk is full");
    }

    #[test]
    fn error_made_for_callers_keeps_its_code() {
        let error = Error::new("rate_limited", "come back later");
        let answered = handler_failed(Box::new(error));
        assert_eq!(answered.code().as_str(), "rate_limited");
    }

    #[test]
    fn error_of_the_mesh_becomes_the_cause_of_a_handler_error() {
        let error = Error::raised(ErrorCode::NotFound, "agent 'x' not found");
        let answered = handler_failed(Box::new(error));
        assert_eq!(answered.code(), &ErrorCode::HandlerError);
        assert_eq!(answered.details()["cause"]["code"], "not_found");
    }

    #[test]
    fn deadline_error_names_the_agent_and_the_stage() {
        let agent = AgentName::new("x").unwrap();
        let error = deadline_exceeded(&agent, false);
        assert_eq!(
            error.message(),
            "deadline exceeded before the handler of agent 'x' started"
        );
        assert!(
            deadline_exceeded(&agent, true)
                .message()
                .ends_with("finished")
        );
    }
}
