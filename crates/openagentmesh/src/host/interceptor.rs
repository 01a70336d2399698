//! The host's interceptors around one request.

use std::sync::atomic::Ordering;
use std::time::Duration;

use openagentmesh_protocol::Visible;

use super::outcome;
use super::request::{Intercepted, Request};
use super::state::AgentState;
use crate::error::Result;
use crate::telemetry::{Completion, Outcome};

/// Runs `before` of each interceptor; does nothing where there are none.
///
/// # Errors
///
/// The error that the request is refused with.
pub(super) fn before(agent: &AgentState, request: &mut Request<'_>) -> Result<()> {
    if agent.interceptors.is_empty() {
        return Ok(());
    }
    let mut exchange = request.exchange(agent);
    let (started, admitted) = agent.interceptors.before(&mut exchange);
    request.intercepted = Some(Box::new(Intercepted { exchange, started }));
    admitted.map_err(outcome::own_error)
}

/// Runs `after` of each interceptor that ran `before`. `queued` is the time that the request waited before
/// its handler could start.
pub(super) fn after(
    agent: &AgentState,
    request: &Request<'_>,
    outcome: &Outcome,
    queued: Duration,
) {
    let Some(intercepted) = &request.intercepted else {
        return;
    };
    let completion = Completion {
        outcome,
        duration: request.received.elapsed(),
        queued,
        chunks: request.chunks.load(Ordering::Relaxed),
    };
    let Intercepted { started, exchange } = &**intercepted;
    if let Err(error) = agent.interceptors.after(*started, exchange, &completion) {
        tracing::error!(agent = %agent.name, request_id = %Visible(&request.id), %error,
            "interceptor failed after the request was answered");
    }
}
