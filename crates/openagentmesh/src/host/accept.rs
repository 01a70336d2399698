//! Accepts the requests of one agent: each is admitted, runs in a task of its own, and is answered once.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::ErrorCode;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{self, AdmissionPermit};
use super::answer::answer;
use super::cancellation::{self, cancelled};
use super::invoke::invoke;
use super::outcome::{WorkResult, handler_panicked};
use super::request::Request;
use super::state::AgentState;
use super::{budget, interceptor};
use crate::error::Error;
use crate::transport::{Connection, Subscription, memory};

/// The limit of draining a subscription, which is one round trip to the server.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The field of an `overloaded` error with the time after which a caller should try again, in milliseconds.
const RETRY_AFTER_MS: &str = "retry_after_ms";

/// Accepts requests until `stop` fires and the requests that the server has sent before are accepted, or
/// until the agent is aborted. Each accepted request runs in a task in `tasks`.
pub(super) async fn accept(
    agent: Arc<AgentState>,
    mut requests: Subscription,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut aborted = pin!(agent.abort.cancelled());
    let mut stopped = pin!(stop.cancelled().fuse());
    let mut stopping = false;
    loop {
        let request = tokio::select! {
            biased;
            () = &mut aborted => break,
            () = &mut stopped, if !stopping => {
                stopping = true;
                let connection = &agent.session.connection;
                let drained = timeout(DRAIN_TIMEOUT, drain_subscription(connection, &mut requests));
                // Without a connection nothing more arrives.
                if !connection.is_up() || drained.await.is_err() {
                    break;
                }
                continue;
            }
            request = requests.next() => request,
        };
        let Some(message) = request else { break };
        accept_one(&agent, &tasks, message).await;
    }
}

/// Accepts one request, which runs in a task in `tasks`, or refuses it.
pub(super) async fn accept_one(agent: &Arc<AgentState>, tasks: &TaskTracker, mut message: Message) {
    let received = Instant::now();
    match admit(agent, &message) {
        Ok(admitted) => {
            // The payload is a part of all that was read with it, which may be MiB.
            message.payload = Bytes::copy_from_slice(&message.payload);
            tasks.spawn(serve(Arc::clone(agent), admitted, message, received));
        }
        Err(error) => {
            // A value that an interceptor leaves may panic when it is dropped.
            let refused = AssertUnwindSafe(refuse(agent, &message, received, error));
            if let Err(panic) = refused.catch_unwind().boxed().await {
                let error = handler_panicked(&*panic);
                tracing::warn!(agent = %agent.name, %error, "panic at the end of a refused request");
            }
        }
    }
}

/// The share of a request in the limits of its agent and in the memory of the process, until it is answered.
struct Admitted {
    _request: AdmissionPermit,
    _input: Option<budget::InputShare>,
}

/// The maximum memory of the headers of a request, in bytes. A header takes more than 200 bytes.
const MAX_HEADER_MEMORY: usize = 4 * 1024 * 1024;

/// Admits a request, or returns the error for its answer: `overloaded`, or `payload_too_large`.
fn admit(agent: &AgentState, message: &Message) -> Result<Admitted, Error> {
    let bytes = memory(message);
    if bytes.saturating_sub(message.payload.len()) > MAX_HEADER_MEMORY {
        return Err(headers_exceed(agent));
    }
    Ok(Admitted {
        _request: (agent.admission.admit()).map_err(|in_flight| overloaded(agent, in_flight))?,
        _input: budget::admit(bytes).map_err(|limit| inputs_exceed(agent, limit))?,
    })
}

/// Ends the subscription without losing a request that the server has sent already.
///
/// The client drops messages that arrive after it has sent `UNSUB`. The host therefore ends the subscription at
/// the server first: the limit has more digits than the server reads and counts as reached. The reply to a
/// round trip follows the last message.
async fn drain_subscription(connection: &Connection, requests: &mut Subscription) {
    const LIMIT_BEYOND_THE_SERVER: u64 = 10_000_000_000;

    if requests
        .unsubscribe_after(LIMIT_BEYOND_THE_SERVER)
        .await
        .is_ok()
        && let Err(error) = connection.synchronize().await
    {
        tracing::debug!(%error, "the last requests of an agent may be lost");
    }
    // The subscriber still yields the messages that have arrived, and ends after them.
    if let Err(error) = requests.unsubscribe().await {
        tracing::debug!(%error, "the connection was closed before the subscription");
    }
}

/// Serves one request, which arrived at `received`.
#[expect(
    clippy::manual_async_fn,
    reason = "an async function keeps a second copy of its arguments"
)]
fn serve(
    agent: Arc<AgentState>,
    admitted: Admitted,
    message: Message,
    received: Instant,
) -> impl Future<Output = ()> {
    async move {
        let mut request = Request::read(&message, received);
        let running = match interceptor::before(&agent, &mut request) {
            Ok(()) => wait_for_permit(&agent, &message, &request).await,
            Err(error) => Err(WorkResult::Failed(error)),
        };
        let queued = received.elapsed();
        let (running, ended) = match running {
            Ok(permit) => {
                request.limit_run(agent.timeout);
                // A value that the handler leaves may panic when it is dropped.
                let invoked = AssertUnwindSafe(invoke(&agent, &request)).catch_unwind();
                let ended = invoked.await;
                let ended =
                    ended.unwrap_or_else(|panic| WorkResult::Failed(handler_panicked(&*panic)));
                (Some(permit), ended)
            }
            Err(ended) => (None, ended),
        };
        if running.is_some() {
            agent
                .admission
                .count_run(received.elapsed().saturating_sub(queued));
        }
        let outcome = answer(&agent, &request, ended).await;
        drop(running);
        interceptor::after(&agent, &request, &outcome, queued);
        drop(admitted);
    }
}

/// Waits until the request may run. After a freeze of this process, its caller is asked before. `Err` as of
/// [`wait_in_queue`].
async fn wait_for_permit<'a>(
    agent: &'a AgentState,
    message: &Message,
    request: &Request<'_>,
) -> Result<SemaphorePermit<'a>, WorkResult> {
    let mut asked = None;
    loop {
        if agent.freezes.suspects(request.received, asked) {
            // Without a permit, so that the callers of all requests that wait are asked at once.
            asked = Some(agent.freezes.count());
            let waits = cancellation::still_waits(agent, request).boxed().await;
            waits.map_err(|reason| WorkResult::Cancelled {
                reason,
                started: false,
            })?;
        }
        let permit = wait_in_queue(agent, message, request).await?;
        if !agent.freezes.suspects(request.received, asked) {
            return Ok(permit);
        }
    }
}

/// Waits until the request may run. `Err` means that it was cancelled before, or takes too much memory to wait.
async fn wait_in_queue<'a>(
    agent: &'a AgentState,
    message: &Message,
    request: &Request<'_>,
) -> Result<SemaphorePermit<'a>, WorkResult> {
    if let Some(permit) = agent.admission.try_run() {
        return Ok(permit);
    }
    let waiting = async {
        let Some(_reserved) = admission::reserve(&agent.queue_budget, memory(message)) else {
            return Err(WorkResult::Failed(queue_is_full(agent)));
        };
        tokio::select! {
            biased;
            permit = agent.admission.run() => Ok(permit),
            reason = cancelled(agent, request, None) => {
                Err(WorkResult::Cancelled { reason, started: false })
            }
        }
    };
    waiting.boxed().await
}

/// Answers a request that is not admitted with `error`. Interceptors run around it, too. If an interceptor refuses the
/// request, its error is answered instead: `overloaded` would reveal the load.
async fn refuse(agent: &AgentState, message: &Message, received: Instant, error: Error) {
    let mut request = Request::read(message, received);
    let error = match interceptor::before(agent, &mut request) {
        Ok(()) => error,
        Err(refused) => refused,
    };
    let outcome = answer(agent, &request, WorkResult::Failed(error)).await;
    interceptor::after(agent, &request, &outcome, Duration::ZERO);
}

fn queue_is_full(agent: &AgentState) -> Error {
    let concurrency = agent.admission.concurrency();
    Error::raised(
        ErrorCode::Overloaded,
        format!(
            "agent '{}' is overloaded: it runs {concurrency} requests at once, and the requests that wait on this host \
             take {} MiB; try again later, or start another process that serves it",
            agent.name,
            admission::MAX_QUEUED_BYTES / (1024 * 1024),
        ),
    )
    .with_detail("in_flight", agent.admission.in_flight())
    .with_detail("concurrency", concurrency)
    .with_detail(RETRY_AFTER_MS, agent.admission.retry_after_ms())
}

fn inputs_exceed(agent: &AgentState, limit: usize) -> Error {
    Error::raised(
        ErrorCode::Overloaded,
        format!(
            "the host of agent '{}' is overloaded: the inputs of its requests in flight exceed {limit} bytes; try \
             again later, or start another process that serves it",
            agent.name,
        ),
    )
    .with_detail("limit", limit)
    .with_detail(RETRY_AFTER_MS, agent.admission.retry_after_ms())
}

fn headers_exceed(agent: &AgentState) -> Error {
    Error::raised(
        ErrorCode::PayloadTooLarge,
        format!(
            "the headers of the request to agent '{}' are too large: they take more than {MAX_HEADER_MEMORY} bytes of memory; \
             send fewer, or send them in the input",
            agent.name,
        ),
    )
    .with_detail("limit", MAX_HEADER_MEMORY)
}

fn overloaded(agent: &AgentState, in_flight: usize) -> Error {
    let concurrency = agent.admission.concurrency();
    Error::raised(
        ErrorCode::Overloaded,
        format!(
            "agent '{}' is overloaded: it has {in_flight} requests in flight on this host and runs \
             {concurrency} at once; try again later, or start another process that serves it",
            agent.name,
        ),
    )
    .with_detail("in_flight", in_flight)
    .with_detail("concurrency", concurrency)
    .with_detail(RETRY_AFTER_MS, agent.admission.retry_after_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Each request allocates this future; copying large futures costs more than most handlers.
    #[test]
    fn future_of_a_request_is_smaller_than_1_kib() {
        let size = future_size(serve);
        assert!(size < 1024, "{size}");
    }
}
