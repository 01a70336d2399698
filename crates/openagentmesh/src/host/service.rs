//! The service of one agent: its start, and its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Shape, subject};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::Admission;
use super::compat::late_subscriber::ReplyRetry;
use super::direct::DirectRequests;
use super::freeze::FreezeWatch;
use super::signals::SignalRouter;
use super::state::AgentState;
use super::{accept, direct, supervisor};
use crate::agent::Agent;
use crate::catalog::Registration;
use crate::error::Result;
use crate::session::Session;
use crate::telemetry::Interceptors;
use crate::transport::{Action, DenialWatch, Subscription};

/// The limit of the answers of aborted requests. A lost connection must not delay the shutdown.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// The parts of a host that all its services share.
pub(super) struct Shared {
    pub(super) session: Arc<Session>,
    pub(super) signals: Arc<SignalRouter>,
    pub(super) interceptors: Interceptors,
    /// The memory for waiting requests.
    pub(super) queue_budget: Arc<Semaphore>,
    /// The memory for replies to late subscribers.
    pub(super) late_budget: Arc<Semaphore>,
    /// The agents on the subjects of this instance.
    pub(super) direct: Arc<DirectRequests>,
    /// Notices freezes of this process.
    pub(super) freezes: Arc<FreezeWatch>,
    /// Ends every task of the host.
    pub(super) abort: CancellationToken,
}

/// The services of a host by agent. The lock is held while agents are added, so that a service in the map is
/// either listed in the catalog or about to be.
pub(super) type Services = Mutex<BTreeMap<AgentName, Service>>;

/// A served agent. Dropping the value aborts its tasks.
pub(super) struct Service {
    registration: Registration,
    agent: Arc<AgentState>,
    /// The accept loop, the task of each request, late replies, and the supervisor.
    tasks: TaskTracker,
    direct: Arc<DirectRequests>,
    /// Ends the accept loop and the supervisor; fired by [`drain`](Self::drain).
    stop: CancellationToken,
    /// The server's denial of the subscription at the start.
    denied: DenialWatch,
}

impl Service {
    /// Subscribes to the requests of `agent` and starts to accept them, until the service is drained or
    /// dropped, or the host is aborted.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) async fn start(
        agent: &Agent,
        registration: Registration,
        host: &Shared,
    ) -> Result<Self> {
        let name = registration.name();
        let tasks = TaskTracker::new();
        let abort = host.abort.child_token();
        let denied = watch_subscription(&host.session, name);
        // Publishers and watchers accept requests, too, to answer that the verb does not fit.
        let requests = host
            .session
            .connection
            .subscribe(subject::agent(name), Some(subject::queue_group(name)))
            .await?;
        let at_instance = direct::subscribe_to(&host.session, name).await?;
        let agent = Arc::new(AgentState {
            name: name.clone(),
            shape: agent.shape(),
            handler: agent.function(),
            input: agent.input(),
            timeout: agent.timeout(),
            admission: Admission::new(agent.concurrency(), agent.queue()),
            queue_budget: Arc::clone(&host.queue_budget),
            session: Arc::clone(&host.session),
            signals: Arc::clone(&host.signals),
            freezes: Arc::clone(&host.freezes),
            interceptors: host.interceptors.clone(),
            errors_subject: subject::errors(name).into(),
            late_replies: ReplyRetry {
                agent: name.clone(),
                session: Arc::clone(&host.session),
                budget: Arc::clone(&host.late_budget),
                tasks: tasks.clone(),
                abort: abort.clone(),
            },
            abort,
            refused_replies: AtomicU64::new(0),
        });
        let service = Self {
            registration,
            agent: Arc::clone(&agent),
            tasks,
            direct: Arc::clone(&host.direct),
            stop: CancellationToken::new(),
            denied,
        };
        service.direct.add(&agent, &service.tasks);
        if let Some((requests, denied)) = at_instance {
            let accepting = service.accept(requests);
            service.tasks.spawn(async move {
                let _denied = denied;
                accepting.await;
            });
        }
        service.tasks.spawn(service.accept(requests));
        Ok(service)
    }

    /// Accepts the requests that a subscription receives, until the service is drained or dropped.
    fn accept(&self, requests: Subscription) -> impl Future<Output = ()> + use<> {
        let (agent, tasks) = (Arc::clone(&self.agent), self.tasks.clone());
        accept::accept(agent, requests, tasks, self.stop.clone())
    }

    /// # Errors
    ///
    /// `connection_denied` when the server has denied the subscription to the agent's requests.
    pub(super) fn check_subscription(&mut self) -> Result<()> {
        let denied = self.denied.check();
        denied.map_err(|error| error.with_agent(&self.agent.name))
    }

    /// Starts a publisher or watcher, and the reports of later denials. To be called once the agent is listed.
    pub(super) fn start_background(&self) {
        let agent = Arc::clone(&self.agent);
        self.tasks.spawn(report_denials(agent, self.stop.clone()));
        if matches!(self.agent.shape, Shape::Publisher | Shape::Watcher) {
            let agent = Arc::clone(&self.agent);
            self.tasks.spawn(supervisor::run(agent, self.stop.clone()));
        }
    }

    /// Stops accepting and waits for the accepted requests. Requests that still run after `grace` are
    /// cancelled, and answered with `not_available`.
    ///
    /// Cancel-safe: dropped, the service aborts its tasks.
    pub(super) async fn drain(self, grace: Duration) {
        self.direct.remove(&self.agent);
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            self.agent.abort.cancel();
            if tokio::time::timeout(ABORT_TIMEOUT, self.tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!(agent = %self.agent.name, "requests were still running at the end of the shutdown");
            }
        }
    }

    /// The agent's entries in the catalog.
    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }
}

/// Watches for a denial of the subscription to the requests of agent `name`.
fn watch_subscription(session: &Session, name: &AgentName) -> DenialWatch {
    let subject = subject::agent(name);
    let denials = &session.connection.denials;
    denials.watch(move |denial| denial.denies(Action::Subscribe, &subject))
}

/// Reports when the server no longer permits the subscription of a served agent, e.g. after a reconnect with other
/// credentials. The client subscribes again after the next reconnect.
async fn report_denials(agent: Arc<AgentState>, stop: CancellationToken) {
    loop {
        let mut watch = watch_subscription(&agent.session, &agent.name);
        tokio::select! {
            () = agent.abort.cancelled() => return,
            () = stop.cancelled() => return,
            error = watch.denied() => {
                tracing::error!(agent = %agent.name, %error, "the agent receives no requests");
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.direct.remove(&self.agent);
        self.agent.abort.cancel();
    }
}
