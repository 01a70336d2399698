//! One agent's service: taking requests, giving each a place, and ending in order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures::{FutureExt, StreamExt};
use openagentmesh_protocol::{AgentName, Contract, ErrorCode, Shape, subject};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::decode::Request;
use super::feedback::Feedback;
use super::{attendance, background, dispatch, reply};
use crate::agent::{Agent, InputSchema, Run};
use crate::client::Core;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::wire;

/// How long a subscription may take to end, which is one round trip to the server.
const RETIREMENT: Duration = Duration::from_secs(2);

/// What every request of an agent needs.
pub(super) struct Served {
    pub(super) name: AgentName,
    pub(super) shape: Shape,
    pub(super) core: Arc<Core>,
    pub(super) feedback: Arc<Feedback>,
    pub(super) errors_subject: async_nats::Subject,
    pub(super) run: Run,
    pub(super) input: Option<Arc<InputSchema>>,
    pub(super) abort: CancellationToken,
    concurrency: usize,
    running: Semaphore,
    /// Requests that run or wait; never more than `admitted_limit`.
    admitted: AtomicUsize,
    admitted_limit: usize,
}

impl Served {
    pub(super) fn client(&self) -> &Client {
        &self.core.connection.client
    }
}

/// A served agent. Dropping it ends its tasks, whatever they are doing.
pub(super) struct Service {
    contract: Contract,
    served: Arc<Served>,
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Service {
    /// Subscribes to the agent's requests and starts to serve them, until it is drained or
    /// `abort` fires.
    pub(super) async fn start(
        agent: &Agent,
        contract: Contract,
        core: Arc<Core>,
        feedback: Arc<Feedback>,
        abort: CancellationToken,
    ) -> Result<Self> {
        let name = &contract.name;
        // Publishers and watchers take requests too, to say which verb fits.
        let requests = core
            .connection
            .client
            .queue_subscribe(subject::agent(name), subject::queue_group(name))
            .await
            .map_err(|error| wire::closed(error.to_string()))?;
        let concurrency = agent.concurrency().get().min(Semaphore::MAX_PERMITS);
        let served = Arc::new(Served {
            name: name.clone(),
            shape: agent.shape(),
            core,
            feedback,
            errors_subject: subject::errors(name).into(),
            run: agent.run(),
            input: agent.input(),
            abort: abort.clone(),
            concurrency,
            running: Semaphore::new(concurrency),
            admitted: AtomicUsize::new(0),
            admitted_limit: concurrency.saturating_add(agent.queue()),
        });
        let service = Self {
            contract,
            served: Arc::clone(&served),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            abort,
        };
        service.tasks.spawn(take_requests(
            served,
            requests,
            service.tasks.clone(),
            service.stop.clone(),
        ));
        Ok(service)
    }

    /// Starts what the agent does without being asked; others must know of it by now.
    pub(super) fn begin(&self) {
        if matches!(self.served.shape, Shape::Publisher | Shape::Watcher) {
            let served = Arc::clone(&self.served);
            self.tasks.spawn(background::run(served, self.stop.clone()));
        }
    }

    /// Takes no more requests and finishes those that were taken; what still runs after `grace`
    /// is answered that the host shut down.
    ///
    /// Cancel-safe: dropped, it ends the tasks at once.
    pub(super) async fn drain(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            self.abort.cancel();
            // Each task now sends one reply and ends; a lost connection must not hold it up.
            const LAST_REPLIES: Duration = Duration::from_secs(1);
            if tokio::time::timeout(LAST_REPLIES, self.tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!("requests were still running when their agent left the mesh");
            }
        }
    }

    pub(super) fn contract(&self) -> &Contract {
        &self.contract
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.abort.cancel();
    }
}

/// Runs until the subscription ends: by `stop`, which lets delivered requests through first, or
/// by the abort, which does not.
async fn take_requests(
    served: Arc<Served>,
    mut requests: Subscriber,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut stopping = false;
    loop {
        let request = tokio::select! {
            biased;
            () = served.abort.cancelled() => break,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                // Without a connection nothing more arrives.
                let retired = retire(&served.core.connection, &mut requests);
                let is_up = served.core.connection.is_up();
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
                tasks.spawn(serve(place, message, Instant::now()));
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

async fn serve(place: Place, message: Message, received: Instant) {
    let served = &*place.0;
    let request = Request::of(&message, received);
    let serving = async {
        let permit = tokio::select! {
            biased;
            permit = served.running.acquire() => permit,
            absence = attendance::ended(served, &request, None) => {
                dispatch::leave_queue(served, &request, absence).await;
                return;
            }
        };
        // The semaphore is never closed.
        debug_assert!(permit.is_ok());
        dispatch::serve(served, &request).await;
    };
    // What a handler leaves behind is dropped here and there, and may panic anywhere.
    if let Err(panic) = AssertUnwindSafe(serving).catch_unwind().await {
        reply::error(served, &request, dispatch::panicked(&*panic)).await;
    }
}

async fn refuse(served: &Served, message: &Message) {
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
struct Place(Arc<Served>);

impl Place {
    /// `None` when every place is taken. Only the agent's one intake task takes places.
    fn take(served: &Arc<Served>) -> Option<Self> {
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
