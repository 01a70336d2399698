//! Checks and decodes the input of a request, and starts its handler.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt;
use tracing::Span;

use super::cancellation::cancelled;
use super::outcome::{WorkResult, handler_panicked};
use super::request::Request;
use super::state::AgentState;
use super::{budget, decoder, validate};
use crate::agent::{Context, DecodeError, Invocation};
use crate::error::Error;
use crate::schema::InputSchema;

/// Checks and decodes the input of `request` and starts the handler, `function`, in `span`.
///
/// A large input is decoded on the thread for large inputs, in its turn. `Err` is the result
/// of a request whose input is invalid, or that was cancelled before.
pub(super) async fn start<T, F>(
    agent: &AgentState,
    request: &Request<'_>,
    span: &Span,
    function: &Arc<F>,
) -> Result<T, WorkResult>
where
    T: Send + 'static,
    F: Fn(Invocation<'_>) -> Result<T, DecodeError> + Send + Sync + ?Sized + 'static,
{
    let (schema, body) = (agent.input.as_ref(), request.body());
    if is_large(schema.map(|schema| &**schema), body) {
        return start_large(agent, request, span, function).boxed().await;
    }
    let schema = schema.map(|schema| &**schema);
    validate::check_restrictions(&agent.name, schema, body).map_err(WorkResult::Failed)?;
    let context = || request.context(agent);
    match run(&**function, span, body, &context).map_err(WorkResult::Failed)? {
        Ok(started) => Ok(started),
        Err(error) if body.len() <= budget::MAX_INLINE_CHECKED_BYTES => Err(WorkResult::Failed(
            validate::explain(&agent.name, schema, body, error),
        )),
        Err(error) => Err(explain_large(agent, request, error).boxed().await),
    }
}

/// Whether the input takes more than a moment to be decoded or checked.
fn is_large(schema: Option<&InputSchema>, body: &[u8]) -> bool {
    schema.is_some_and(|schema| {
        body.len() > budget::MAX_INLINE_BYTES
            || (body.len() > budget::MAX_INLINE_CHECKED_BYTES && schema.exceeds_types())
    })
}

/// Calls the handler's function, which may panic.
fn run<T, F>(
    function: &F,
    span: &Span,
    body: &[u8],
    context: &dyn Fn() -> Context,
) -> Result<Result<T, DecodeError>, Error>
where
    F: Fn(Invocation<'_>) -> Result<T, DecodeError> + ?Sized,
{
    let invocation = Invocation { body, context };
    catch_unwind(AssertUnwindSafe(|| span.in_scope(|| function(invocation))))
        .map_err(|panic| handler_panicked(&*panic))
}

async fn start_large<T, F>(
    agent: &AgentState,
    request: &Request<'_>,
    span: &Span,
    function: &Arc<F>,
) -> Result<T, WorkResult>
where
    T: Send + 'static,
    F: Fn(Invocation<'_>) -> Result<T, DecodeError> + Send + Sync + ?Sized + 'static,
{
    let (name, schema, body) = (
        agent.name.clone(),
        agent.input.clone(),
        request.shared_body(),
    );
    let (span, function) = (span.clone(), Arc::clone(function));
    let context = request.context(agent);
    let started = off_thread(agent, request, move || {
        let schema = schema.as_deref();
        validate::check_restrictions(&name, schema, &body)?;
        run(&*function, &span, &body, &|| context.clone())?
            .map_err(|error| validate::explain(&name, schema, &body, error))
    });
    started.await?.map_err(WorkResult::Failed)
}

async fn explain_large(
    agent: &AgentState,
    request: &Request<'_>,
    error: DecodeError,
) -> WorkResult {
    let (name, schema, body) = (
        agent.name.clone(),
        agent.input.clone(),
        request.shared_body(),
    );
    let explained = off_thread(agent, request, move || {
        validate::explain(&name, schema.as_deref(), &body, error)
    });
    match explained.await {
        Ok(error) => WorkResult::Failed(error),
        Err(ended) => ended,
    }
}

/// Runs `work` on the thread for large inputs, in its turn.
///
/// `Err` means that the request was cancelled. Work that has started then ends on its own.
async fn off_thread<T: Send + 'static>(
    agent: &AgentState,
    request: &Request<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkResult> {
    let working = async {
        let turn = budget::decoding_turn().await;
        decoder::run(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
    };
    tokio::select! {
        biased;
        done = working => done.ok_or_else(|| {
            WorkResult::Failed(handler_panicked(&"a panic while the input was checked"))
        }),
        reason = cancelled(agent, request, None) => {
            Err(WorkResult::Cancelled { reason, started: false })
        }
    }
}
