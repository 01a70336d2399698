//! Serves agents.
//!
//! The way of a request, from the subscription of its agent to its answer:
//!
//! ```text
//! accept         admits the request, or refuses it as overloaded; each request gets a task
//!   request      reads the envelope
//!   interceptor  runs `before` of each interceptor
//!   admission    waits in the queue for a permit to run
//!   freeze       after a freeze of the process, asks the caller whether it still waits
//!   invoke       checks the input and runs the handler        cancellation  shutdown, cancel message,
//!                (for a stream: sends chunks as they come)                  deadline, missing caller
//!   outcome      output | end of stream | failed | cancelled
//!   answer       decides the answer: reply (output, error) | stream (end marker) | none
//!   interceptor  runs `after` of each interceptor
//! ```
//!
//! `outcome::WorkResult` differs from `telemetry::Outcome`: chunks may have been sent already, and the output, the
//! end marker or the error still has to be answered. The `Outcome` is known after the answer; interceptors see it.
//!
//! A stream sends its chunks through a `batcher`, within the credit that `signals` receives from its caller.
//! `compat` repeats replies for callers that subscribe late. The `supervisor` runs publishers and watchers. The
//! `reconciler` keeps the agents listed in the catalog. The `watchdog` renews the record of this process and runs the
//! monitor.
//!
//! A file imports only from files that stand before it in this list: `signals`, `compat`, `admission`, `freeze`; `state`;
//! `request`; `outcome`, `interceptor`, `cancellation`, `validate`, `batcher`; `reply`, `stream`; `answer`, `invoke`;
//! `accept`, `supervisor`; `service`; `reconciler`, `watchdog`; this file.

mod accept;
mod admission;
mod answer;
mod batcher;
mod budget;
mod cancellation;
mod compat;
mod decoder;
mod direct;
mod freeze;
mod interceptor;
mod invoke;
mod outcome;
mod reconciler;
mod reply;
mod request;
mod service;
mod signals;
mod start;
mod state;
mod stream;
mod supervisor;
mod unsent_chunks;
mod validate;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Once};
use std::time::Duration;

use openagentmesh_monitor as monitor;
use openagentmesh_monitor::Mesh;
use openagentmesh_protocol::{AgentName, DeathReason, ErrorCode, Subject, subject};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::Agent;
use crate::catalog::{Directory, Registration};
use crate::error::{Error, Result};
use crate::liveness::{InstanceLease, MonitoredMesh};
use crate::session::Session;
use crate::store::ensure_buckets;
use crate::telemetry::Interceptors;
use crate::transport;
use compat::late_subscriber;
use freeze::FreezeWatch;
use service::{Service, Services, Shared};
use signals::SignalRouter;

pub(crate) use outcome::{handler_failed, handler_panicked, run_timed_out};
pub(crate) use reply::log_failure;
pub(crate) use validate::{check_restrictions, explain};

/// The limit of the removal of agents from the catalog.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit of the removal while the connection is lost.
const DISCONNECTED_REMOVAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The agents that this process serves.
pub(crate) struct Host {
    shared: Shared,
    /// The time that running requests have to finish when their agent is deregistered.
    grace: Duration,
    services: Arc<Services>,
    /// Has a token for each removal of agents in progress, taken under the lock of `services`. A shutdown waits
    /// for all of them before the connection is closed.
    departures: TaskTracker,
    /// Set when the buckets of the mesh exist, which is before the first agent is listed.
    buckets: OnceCell<()>,
    /// The instance record of this process.
    lease: Arc<InstanceLease>,
    /// Starts the renewal of the record with the first registration.
    renewal: Once,
    /// Starts the reconciler and the monitor with the first agent.
    background: Once,
    /// Ends the reconciler and the monitor: the reconciler holds the lock of `services` while it writes the catalog. A
    /// child of the abort.
    stop_background: CancellationToken,
}

impl Host {
    pub(crate) fn new(
        session: Arc<Session>,
        grace: Duration,
        lease: Duration,
        interceptors: Interceptors,
    ) -> Arc<Self> {
        let abort = CancellationToken::new();
        let (connection, id) = (&session.connection, &session.instance_id);
        Arc::new(Self {
            stop_background: abort.child_token(),
            lease: Arc::new(InstanceLease::new(connection, &session.records, id, lease)),
            shared: Shared {
                signals: Arc::new(SignalRouter::new(
                    session.connection.slot(),
                    session.connection.ended(),
                )),
                session,
                interceptors,
                queue_budget: admission::queue_budget(),
                late_budget: late_subscriber::memory_budget(),
                direct: Arc::default(),
                freezes: FreezeWatch::new(),
                abort,
            },
            grace,
            services: Arc::default(),
            departures: TaskTracker::new(),
            buckets: OnceCell::new(),
            renewal: Once::new(),
            background: Once::new(),
        })
    }

    /// Serves `agents` and lists them in the catalog: all, or none on error.
    ///
    /// # Errors
    ///
    /// Those of [`AgentMesh::register`](crate::AgentMesh::register).
    pub(crate) async fn register(self: Arc<Self>, agents: Vec<Agent>) -> Result<()> {
        agents.iter().try_for_each(Agent::check)?;
        let registrations = agents
            .iter()
            .map(|agent| Registration::new(&agent.contract_registered_now()?))
            .collect::<Result<Vec<_>>>()?;
        if registrations.is_empty() {
            return Ok(());
        }
        let mut services = self.services.lock().await;
        check_names(&registrations, &services)?;
        self.shared.session.directory.check_sizes(&registrations)?;
        let connection = &self.shared.session.connection;
        let buckets = self.buckets.get_or_try_init(|| ensure_buckets(connection));
        buckets.await?;
        self.shared.signals.start().await?;
        let (session, abort) = (&self.shared.session, &self.shared.abort);
        self.shared.freezes.start(session, abort);
        self.shared.direct.start(session, abort).await?;

        self.renewal.call_once(|| {
            watchdog::renew(Arc::clone(&self.lease), self.shared.abort.clone());
        });
        let names: Vec<AgentName> = registrations
            .iter()
            .map(|registration| registration.name().clone())
            .collect();
        self.lease.add(names.iter().cloned()).await;
        let mut started = BTreeMap::new();
        if let Err(error) = self.start(&agents, &registrations, &mut started).await {
            // Callers that know the name from elsewhere may have sent requests already.
            self.drain(started.into_values()).await;
            self.lease.remove(&names).await;
            return Err(error);
        }
        self.background.call_once(|| self.start_background());
        started.values().for_each(Service::start_background);
        agents.iter().for_each(Agent::warn_of_differences);
        log_serving(started.keys(), &self.shared.session.url);
        services.append(&mut started);
        Ok(())
    }

    fn start_background(&self) {
        let session = Arc::clone(&self.shared.session);
        let services = Arc::clone(&self.services);
        reconciler::start(session, services, self.stop_background.clone());
        let monitoring = watchdog::monitor(
            self.monitored_mesh(),
            Arc::clone(&self.shared.session),
            self.stop_background.clone(),
        );
        // A shutdown waits until the monitor has given its lease back.
        self.departures.spawn(monitoring);
    }

    fn monitored_mesh(&self) -> MonitoredMesh {
        let session = &self.shared.session;
        MonitoredMesh::new(
            &session.connection,
            &session.records,
            &session.live_connections,
            &session.directory,
        )
    }

    /// Starts the services, and lists the agents once the server knows the subscriptions: an agent in the
    /// catalog can be called. Services that were started before an error are left in `started`.
    async fn start(
        &self,
        agents: &[Agent],
        registrations: &[Registration],
        started: &mut BTreeMap<AgentName, Service>,
    ) -> Result<()> {
        for (agent, registration) in agents.iter().zip(registrations) {
            let service = Service::start(agent, registration.clone(), &self.shared).await?;
            started.insert(registration.name().clone(), service);
        }
        let session = &self.shared.session;
        session.connection.settle().await?;
        self.check_subscriptions(started)?;
        let addition = session.directory.add(registrations).await?;
        // A denial that was reported late.
        if let Err(denied) = self.check_subscriptions(started) {
            session.directory.take_back(addition).await;
            return Err(denied);
        }
        Ok(())
    }

    /// # Errors
    ///
    /// `connection_denied` when the server has denied the subscription to an agent's requests, or to the signals of
    /// callers.
    fn check_subscriptions(&self, started: &mut BTreeMap<AgentName, Service>) -> Result<()> {
        if let Some(denial) = self.shared.session.connection.denials.inbox() {
            return Err(denial.to_error());
        }
        started
            .values_mut()
            .try_for_each(Service::check_subscription)
    }

    /// Stops serving `names`, waits up to the grace time for accepted requests, and removes the agents from the
    /// catalog.
    ///
    /// # Errors
    ///
    /// Those of [`AgentMesh::deregister`](crate::AgentMesh::deregister).
    pub(crate) async fn deregister(self: Arc<Self>, names: Vec<AgentName>) -> Result<()> {
        let mut services = self.services.lock().await;
        if let Some(unknown) = names.iter().find(|name| !services.contains_key(*name)) {
            return Err(Error::raised(
                ErrorCode::NotFound,
                format!("agent '{unknown}' not found: this process does not serve it"),
            )
            .with_agent(unknown));
        }
        let leaving = names
            .iter()
            .filter_map(|name| services.remove_entry(name))
            .collect();
        let is_last = services.is_empty();
        let _departure = self.departures.token();
        drop(services);
        self.leave(leaving, is_last).await
    }

    /// Deregisters every agent; see [`Host::deregister`]. Waits for agents that are being deregistered already.
    pub(crate) async fn shutdown(self: Arc<Self>) -> Result<()> {
        self.stop_background.cancel();
        let mut services = self.services.lock().await;
        let leaving = std::mem::take(&mut *services).into_iter().collect();
        let departure = self.departures.token();
        drop(services);
        let left = self.leave(leaving, true).await;
        drop(departure);
        self.departures.close();
        self.departures.wait().await;
        left
    }

    /// `is_last` says whether the process serves no other agents.
    async fn leave(&self, leaving: Vec<(AgentName, Service)>, is_last: bool) -> Result<()> {
        if leaving.is_empty() {
            return Ok(());
        }
        let (names, services): (Vec<_>, Vec<_>) = leaving.into_iter().unzip();
        let draining = async {
            if is_last
                && timeout(self.removal_timeout(), self.lease.drain())
                    .await
                    .is_err()
            {
                tracing::debug!("the instance record does not say that the process is draining");
            }
        };
        tokio::join!(self.drain(services), draining);
        let removed = timeout(self.removal_timeout(), self.unlist(&names)).await;
        removed.unwrap_or_else(|_| {
            Err(transport::closed(
                "the agents were not removed from the catalog in time and stay listed",
            ))
        })
    }

    fn removal_timeout(&self) -> Duration {
        if self.shared.session.connection.is_up() {
            REMOVAL_TIMEOUT
        } else {
            DISCONNECTED_REMOVAL_TIMEOUT
        }
    }

    /// Removes `names` from the record of this process, and those that no other process serves from the catalog.
    async fn unlist(&self, names: &[AgentName]) -> Result<()> {
        let own = self.lease.remove(names).await;
        let mesh = self.monitored_mesh();
        let directory = &self.shared.session.directory;
        let removed = match directory.is_listed_by_monitor() {
            true => Ok(None),
            false => monitor::remove_agents(&mesh, &own, names).await,
        };
        let gone = match removed {
            Ok(Some(gone)) => gone,
            _ if directory.is_listed_by_monitor() => unregister(&mesh, directory, names).await?,
            // Many hosts leave at once. Hosts that serve the same agents list them again.
            Ok(None) => {
                let unserved = unserved(&mesh, names).await?;
                directory.remove(&unserved).await?;
                unserved
            }
            // Without permission to read the records, other hosts list their agents again.
            Err(error) if error.code() == &ErrorCode::ConnectionDenied => {
                return directory.remove(names).await;
            }
            Err(error) => return Err(error),
        };
        for agent in gone {
            let notice = monitor::death(agent, &own.id, DeathReason::GracefulShutdown);
            mesh.announce(&notice).await?;
        }
        Ok(())
    }

    async fn drain(&self, services: impl IntoIterator<Item = Service>) {
        let drained = services
            .into_iter()
            .map(|service| service.drain(self.grace));
        futures::future::join_all(drained).await;
    }

    /// Aborts every task of the host: running requests are cancelled.
    pub(crate) fn abort(&self) {
        self.shared.abort.cancel();
    }
}

/// The agents of `names` that no record lists.
async fn unserved(mesh: &MonitoredMesh, names: &[AgentName]) -> Result<Vec<AgentName>> {
    let instances = mesh.instances().await?;
    let is_served = |name: &AgentName| {
        let mut records = instances.iter().map(|instance| &instance.record);
        records.any(|record| record.agents.contains(name))
    };
    let unserved = names.iter().filter(|name| !is_served(name)).cloned();
    Ok(unserved.collect())
}

/// Removes the contracts of those of `names` that no record lists; a monitor removes them from the catalog then. Returns
/// them.
async fn unregister(
    mesh: &MonitoredMesh,
    directory: &Directory,
    names: &[AgentName],
) -> Result<Vec<AgentName>> {
    // Read first: a host that registers meanwhile writes another one.
    let mut contracts = directory.contract_revisions(names).await?;
    let unserved = unserved(mesh, names).await?;
    contracts.retain(|(name, _)| unserved.contains(name));
    directory.remove_contracts(contracts).await?;
    Ok(unserved)
}

/// Logs the names of the first agents, and the number of all.
fn log_serving<'n>(names: impl ExactSizeIterator<Item = &'n AgentName>, url: &str) {
    const MAX_NAMES: usize = 10;
    let count = names.len();
    let first: Vec<_> = names.take(MAX_NAMES).map(AgentName::as_str).collect();
    let more = if count > MAX_NAMES { ", …" } else { "" };
    tracing::info!(count, url, "serving {}{more}", first.join(", "));
}

/// Refuses names that are the subject of another agent's events, and names that this process serves already.
fn check_names(
    registrations: &[Registration],
    services: &BTreeMap<AgentName, Service>,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in registrations.iter().map(Registration::name) {
        if let Subject::Events(publisher) = Subject::parse(&subject::agent(name)) {
            return Err(Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "invalid agent name '{name}': its requests would be events of agent '{publisher}'; \
                     choose a name that does not end in '.events'"
                ),
            )
            .with_agent(name));
        }
        if services.contains_key(name) || !seen.insert(name) {
            return Err(Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "duplicate agent '{name}': this process serves it already; \
                     choose another name, or start a second process to share its load"
                ),
            )
            .with_agent(name));
        }
    }
    Ok(())
}
