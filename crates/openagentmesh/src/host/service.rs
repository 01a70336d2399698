//! One agent's service: what it is made of, its start, and its end in order.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Shape, subject};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::compat::late_subscriber::ReplyRetry;
use super::pace::Pace;
use super::signals::SignalRouter;
use super::{accept, reply, supervisor};
use crate::agent::{Agent, Run};
use crate::catalog::Registration;
use crate::error::Result;
use crate::schema::InputSchema;
use crate::session::Session;
use crate::transport::Publisher;
use crate::transport::{self, Template};

/// What every request of an agent needs.
pub(super) struct AgentState {
    pub(super) name: AgentName,
    pub(super) shape: Shape,
    pub(super) session: Arc<Session>,
    pub(super) feedback: Arc<SignalRouter>,
    pub(super) errors_subject: async_nats::Subject,
    pub(super) run: Run,
    pub(super) input: Option<Arc<InputSchema>>,
    pub(super) abort: CancellationToken,
    pub(super) reply_headers: Template,
    pub(super) late: ReplyRetry,
    pub(super) pace: Pace,
    pub(super) concurrency: usize,
    pub(super) running: Semaphore,
    /// Requests that run or wait; never more than `admitted_limit`.
    pub(super) admitted: AtomicUsize,
    pub(super) admitted_limit: usize,
}

impl AgentState {
    pub(super) fn publisher(&self) -> &Arc<Publisher> {
        &self.session.connection.publisher
    }
}

/// A served agent. Dropping it ends its tasks, whatever they are doing.
pub(super) struct Service {
    registration: Registration,
    served: Arc<AgentState>,
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Service {
    /// Subscribes to the agent's requests and starts to serve them, until it is drained or
    /// `abort` fires.
    pub(super) async fn start(
        agent: &Agent,
        registration: Registration,
        session: Arc<Session>,
        feedback: Arc<SignalRouter>,
        late_space: Arc<Semaphore>,
        abort: CancellationToken,
    ) -> Result<Self> {
        let name = registration.name();
        let tasks = TaskTracker::new();
        // Publishers and watchers take requests too, to say which verb fits.
        let requests = session
            .connection
            .client
            .queue_subscribe(subject::agent(name), subject::queue_group(name))
            .await
            .map_err(|error| transport::closed(error.to_string()))?;
        let concurrency = agent.concurrency().get().min(Semaphore::MAX_PERMITS);
        let served = Arc::new(AgentState {
            name: name.clone(),
            shape: agent.shape(),
            reply_headers: reply::template(name, &session.instance_id),
            late: ReplyRetry {
                agent: name.clone(),
                session: Arc::clone(&session),
                space: late_space,
                tasks: tasks.clone(),
                abort: abort.clone(),
            },
            session,
            feedback,
            errors_subject: subject::errors(name).into(),
            run: agent.run(),
            input: agent.input(),
            abort: abort.clone(),
            pace: Pace::new(),
            concurrency,
            running: Semaphore::new(concurrency),
            admitted: AtomicUsize::new(0),
            admitted_limit: concurrency.saturating_add(agent.queue()),
        });
        let service = Self {
            registration,
            served: Arc::clone(&served),
            tasks,
            stop: CancellationToken::new(),
            abort,
        };
        service.tasks.spawn(accept::take_requests(
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
            self.tasks.spawn(supervisor::run(served, self.stop.clone()));
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

    /// What the lists have of it.
    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.abort.cancel();
    }
}
