//! Taking requests: each gets a place, and is run where it arrives or in a task of its own.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::{FutureExt, StreamExt};
use openagentmesh_protocol::ErrorCode;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::request::Request;
use super::service::AgentState;
use super::{cancellation, invoke, reply};
use crate::error::Error;
use crate::transport::Connection;

/// How long a subscription may take to end, which is one round trip to the server.
const RETIREMENT: Duration = Duration::from_secs(2);

/// Runs until the subscription ends: by `stop`, which lets delivered requests through first, or
/// by the abort, which does not.
pub(super) async fn take_requests(
    served: Arc<AgentState>,
    mut requests: Subscriber,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut aborted = pin!(served.abort.cancelled());
    let mut stopped = pin!(stop.cancelled().fuse());
    let mut stopping = false;
    loop {
        let request = tokio::select! {
            biased;
            () = &mut aborted => break,
            () = &mut stopped, if !stopping => {
                stopping = true;
                // Without a connection nothing more arrives.
                let retired = retire(&served.session.connection, &mut requests);
                let is_up = served.session.connection.is_up();
                if !is_up || tokio::time::timeout(RETIREMENT, retired).await.is_err() {
                    break;
                }
                continue;
            }
            request = requests.next() => request,
        };
        let Some(message) = request else { break };
        match Place::take(&served) {
            Some(place) => {
                let request = serve(place, message, Instant::now()).boxed();
                if let Err(panic) = served.pace.run(&tasks, request) {
                    let panic = invoke::panicked(&*panic);
                    tracing::error!(agent = %served.name, error = %panic, "a request is lost");
                }
            }
            None => refuse(&served, &message).await,
        }
    }
}

/// Ends the subscription without losing a request that the server has sent already.
///
/// The client forgets a subscription as soon as it has told the server so, and drops what arrives
/// until the server has heard it. Here the server is told first: a limit of more digits than it
/// reads ends the subscription there at once, while the client waits for that many messages. The
/// answer to a request that nobody serves then comes after the last message of the subscription.
async fn retire(connection: &Connection, requests: &mut Subscriber) {
    const MORE_THAN_THE_SERVER_READS: u64 = 10_000_000_000;

    if requests
        .unsubscribe_after(MORE_THAN_THE_SERVER_READS)
        .await
        .is_ok()
        && let Err(error) = connection.synchronize().await
    {
        tracing::debug!(%error, "the last requests of an agent may be lost");
    }
    // What arrived is still in the subscriber, which gives it out before it ends.
    if let Err(error) = requests.unsubscribe().await {
        tracing::debug!(%error, "the connection was closed before the subscription");
    }
}

/// Serves one request. `received` is when it arrived here.
#[expect(
    clippy::manual_async_fn,
    reason = "an async function keeps a second copy of all that it is given"
)]
fn serve(place: Place, message: Message, received: Instant) -> impl Future<Output = ()> {
    async move {
        let served = &*place.0;
        let request = Request::of(&message, received);
        // What a handler leaves behind is dropped here and there, and may panic anywhere.
        let served_in_turn = AssertUnwindSafe(serve_in_turn(served, &request)).catch_unwind();
        if let Err(panic) = served_in_turn.await {
            let failure = invoke::panicked(&*panic);
            reply::error(served, &request, failure).boxed().await;
        }
    }
}

async fn serve_in_turn(served: &AgentState, request: &Request<'_>) {
    let permit = match served.running.try_acquire() {
        Ok(permit) => permit,
        Err(_) => match wait_in_queue(served, request).boxed().await {
            Some(permit) => permit,
            None => return,
        },
    };
    invoke::serve(served, request).await;
    drop(permit);
}

/// `None` when nobody waits for the answer any more, which is said to whom it concerns.
async fn wait_in_queue<'s>(
    served: &'s AgentState,
    request: &Request<'_>,
) -> Option<SemaphorePermit<'s>> {
    tokio::select! {
        biased;
        // The semaphore is never closed.
        permit = served.running.acquire() => permit.ok(),
        absence = cancellation::ended(served, request, None) => {
            invoke::leave_queue(served, request, absence).await;
            None
        }
    }
}

async fn refuse(served: &AgentState, message: &Message) {
    let in_flight = served.admitted.load(Ordering::Relaxed);
    let error = Error::raised(
        ErrorCode::Overloaded,
        format!(
            "agent '{}' has {in_flight} requests in flight on this host and runs {} at once; \
             try again later, or start another process that serves it",
            served.name, served.concurrency,
        ),
    )
    .with_detail("in_flight", in_flight)
    .with_detail("concurrency", served.concurrency);
    reply::error(served, &Request::of(message, Instant::now()), error).await;
}

/// A place among the requests that run or wait; given back when dropped.
struct Place(Arc<AgentState>);

impl Place {
    /// `None` when every place is taken. Only the agent's one intake task takes places.
    fn take(served: &Arc<AgentState>) -> Option<Self> {
        if served.admitted.load(Ordering::Relaxed) >= served.admitted_limit {
            return None;
        }
        served.admitted.fetch_add(1, Ordering::Relaxed);
        Some(Self(Arc::clone(served)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}
