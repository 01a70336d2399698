//! One agent's service: taking requests, giving each a place, and ending in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use openagentmesh_protocol::{AgentName, ErrorCode, InstanceId, subject};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::decode::Request;
use super::{dispatch, reply};
use crate::agent::{Agent, InputSchema, Unary};
use crate::error::{Error, Result};

/// What every request of an agent needs.
pub(super) struct Served {
    pub(super) name: AgentName,
    pub(super) client: Client,
    pub(super) instance_id: InstanceId,
    pub(super) errors_subject: async_nats::Subject,
    pub(super) handler: Arc<dyn Unary>,
    pub(super) input: Option<Arc<InputSchema>>,
    pub(super) abort: CancellationToken,
    concurrency: usize,
    running: Semaphore,
    /// Requests that run or wait; never more than `admitted_limit`.
    admitted: AtomicUsize,
    admitted_limit: usize,
}

/// A served agent. Dropping it leaves its tasks to the host's abort.
pub(super) struct Service {
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Service {
    /// Subscribes to the agent's requests and starts to serve them, until it is drained or
    /// `abort` fires.
    pub(super) async fn start(
        agent: &Agent,
        name: &AgentName,
        client: Client,
        instance_id: InstanceId,
        abort: CancellationToken,
    ) -> Result<Self> {
        let requests = client
            .queue_subscribe(subject::agent(name), subject::queue_group(name))
            .await
            .map_err(|error| crate::wire::closed(error.to_string()))?;
        let concurrency = agent.concurrency().get().min(Semaphore::MAX_PERMITS);
        let served = Arc::new(Served {
            name: name.clone(),
            client,
            instance_id,
            errors_subject: subject::errors(name).into(),
            handler: agent.handler(),
            input: agent.input(),
            abort: abort.clone(),
            concurrency,
            running: Semaphore::new(concurrency),
            admitted: AtomicUsize::new(0),
            admitted_limit: concurrency.saturating_add(agent.queue()),
        });
        let service = Self {
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

    /// Takes no more requests and finishes those that were taken; what still runs after `grace`
    /// is answered that the host shut down.
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

    pub(super) fn abort(self) {
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
                if requests.drain().await.is_err() {
                    break;
                }
                continue;
            }
            request = requests.next() => request,
        };
        let Some(message) = request else { break };
        match Place::take(&served) {
            Some(place) => {
                tasks.spawn(serve(place, message));
            }
            None => refuse(&served, &message).await,
        }
    }
}

async fn serve(place: Place, message: Message) {
    let served = &place.0;
    let permit = tokio::select! {
        biased;
        permit = served.running.acquire() => permit,
        () = served.abort.cancelled() => {
            reply::error(served, &Request::of(&message), dispatch::shut_down()).await;
            return;
        }
    };
    // The semaphore is never closed.
    debug_assert!(permit.is_ok());
    let request = Request::of(&message);
    match dispatch::run(served, &request, &message.payload).await {
        Ok(output) => reply::output(served, &request, output).await,
        Err(error) => reply::error(served, &request, error).await,
    }
}

async fn refuse(served: &Served, message: &Message) {
    let in_flight = served.admitted.load(Ordering::Relaxed);
    let error = Error::new(
        ErrorCode::Overloaded,
        format!(
            "agent '{}' has {in_flight} requests in flight on this host and runs {} at once; \
             try again later, or start another process that serves it",
            served.name, served.concurrency,
        ),
    )
    .with_detail("in_flight", in_flight)
    .with_detail("concurrency", served.concurrency);
    reply::error(served, &Request::of(message), error).await;
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
