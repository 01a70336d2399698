//! Serving agents.
//!
//! A request's way is a straight line: the `intake` of the agent's `service` takes it from its
//! subscription and gives it a place, at the `pace` that suits the agent, `decode` reads it, `validate`
//! explains a bad input, `dispatch` runs the handler, `reply` answers, at once or chunk by chunk
//! (`stream`, in `turns`), and more than once where the caller subscribes to it only later (`late`).
//!
//! Beside it, `attendance` knows when nobody waits for the answer any more, `feedback` hears what
//! callers say meanwhile, `background` runs publishers and watchers, and `keeper` sees to it that
//! what is served stays listed.

mod accept;
mod cancellation;
mod compat;
mod invoke;
mod pace;
mod reconciler;
mod reply;
mod request;
mod service;
mod signals;
mod stream;
mod supervisor;
mod turns;
mod validate;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use openagentmesh_protocol::{AgentName, ErrorCode, Subject, subject};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::catalog::Registration;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::telemetry::Interceptors;
use crate::transport;
use service::Service;
use signals::SignalRouter;

/// How long to try to take agents that have left off the lists.
const FAREWELL: Duration = Duration::from_secs(5);
/// The same where the connection is lost: it may be back any moment.
const LOST_FAREWELL: Duration = Duration::from_secs(1);

/// The agents that this process serves.
///
/// Each has a task that takes its requests, and a task per request that waits. They end when the agent is
/// deregistered or the host shuts down, and at the latest when `abort` fires.
pub(crate) struct Host {
    session: Arc<Session>,
    feedback: Arc<SignalRouter>,
    late_space: Arc<Semaphore>,
    interceptors: Interceptors,
    grace: Duration,
    /// Held while agents are added, so that an agent that is served is either listed or about to.
    services: Mutex<BTreeMap<AgentName, Service>>,
    keeper: Once,
    abort: CancellationToken,
}

impl Host {
    pub(crate) fn new(
        session: Arc<Session>,
        grace: Duration,
        interceptors: Interceptors,
    ) -> Arc<Self> {
        Arc::new(Self {
            feedback: Arc::new(SignalRouter::new(session.connection.client.clone())),
            late_space: compat::late_subscriber::memory_budget(),
            session,
            interceptors,
            grace,
            services: Mutex::default(),
            keeper: Once::new(),
            abort: CancellationToken::new(),
        })
    }

    /// Serves `agents` and lists them, all or none.
    pub(crate) async fn register(self: Arc<Self>, agents: Vec<Agent>) -> Result<()> {
        agents.iter().try_for_each(Agent::check_input)?;
        let registrations = agents
            .iter()
            .map(|agent| Registration::new(&agent.contract_registered_now()?))
            .collect::<Result<Vec<_>>>()?;
        if registrations.is_empty() {
            return Ok(());
        }
        let mut services = self.services.lock().await;
        refuse_names(&registrations, &services)?;
        self.session.directory.check_sizes(&registrations)?;
        self.feedback.start().await?;

        let mut started = BTreeMap::new();
        if let Err(error) = self.start(&agents, &registrations, &mut started).await {
            // Whoever heard of the name elsewhere may have asked already.
            let drained = started
                .into_values()
                .map(|service| service.drain(self.grace));
            futures::future::join_all(drained).await;
            return Err(error);
        }
        self.keeper.call_once(|| reconciler::start(&self));
        started.values().for_each(Service::begin);
        services.append(&mut started);
        Ok(())
    }

    /// Takes requests, and lists the agents once the server knows.
    async fn start(
        &self,
        agents: &[Agent],
        registrations: &[Registration],
        started: &mut BTreeMap<AgentName, Service>,
    ) -> Result<()> {
        for (agent, registration) in agents.iter().zip(registrations) {
            let service = Service::start(
                agent,
                registration.clone(),
                Arc::clone(&self.session),
                Arc::clone(&self.feedback),
                Arc::clone(&self.late_space),
                self.abort.child_token(),
            )
            .await?;
            started.insert(registration.name().clone(), service);
        }
        // Whoever finds an agent in the catalog can call it: the server knows the subscriptions
        // before the first entry is written.
        self.session.connection.flush().await?;
        self.session.directory.add(registrations).await
    }

    /// Stops serving `names` and takes them off the lists. Requests that were taken are finished
    /// within the grace time.
    pub(crate) async fn deregister(self: Arc<Self>, names: Vec<AgentName>) -> Result<()> {
        let mut services = self.services.lock().await;
        if let Some(unknown) = names.iter().find(|name| !services.contains_key(*name)) {
            return Err(Error::raised(
                ErrorCode::NotFound,
                format!("this process does not serve agent '{unknown}'"),
            )
            .with_agent(unknown));
        }
        let leaving = names
            .iter()
            .filter_map(|name| services.remove_entry(name))
            .collect();
        drop(services);
        self.leave(leaving).await
    }

    /// Deregisters every agent; see [`Host::deregister`].
    pub(crate) async fn shutdown(self: Arc<Self>) -> Result<()> {
        let leaving = std::mem::take(&mut *self.services.lock().await)
            .into_iter()
            .collect();
        self.leave(leaving).await
    }

    async fn leave(&self, leaving: Vec<(AgentName, Service)>) -> Result<()> {
        if leaving.is_empty() {
            return Ok(());
        }
        let (names, services): (Vec<_>, Vec<_>) = leaving.into_iter().unzip();
        let drained = services
            .into_iter()
            .map(|service| service.drain(self.grace));
        futures::future::join_all(drained).await;
        let patience = if self.session.connection.is_up() {
            FAREWELL
        } else {
            LOST_FAREWELL
        };
        let removed = tokio::time::timeout(patience, self.session.directory.remove(&names)).await;
        removed.unwrap_or_else(|_| {
            Err(transport::closed(
                "the mesh could not be told that agents left; they stay listed",
            ))
        })
    }

    /// Stops every task of the host, whatever it is doing.
    pub(crate) fn abort(&self) {
        self.abort.cancel();
    }
}

fn refuse_names(
    registrations: &[Registration],
    services: &BTreeMap<AgentName, Service>,
) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in registrations.iter().map(Registration::name) {
        if let Subject::Events(publisher) = Subject::parse(&subject::agent(name)) {
            return Err(Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "no agent can be called '{name}': requests to it would be events of agent \
                     '{publisher}'; give it a name that does not end in '.events'"
                ),
            )
            .with_agent(name));
        }
        if services.contains_key(name) || !seen.insert(name) {
            return Err(Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "agent '{name}' is registered twice in this process; \
                     give one another name, or start a second process to share its load"
                ),
            )
            .with_agent(name));
        }
    }
    Ok(())
}
