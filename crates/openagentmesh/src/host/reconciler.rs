//! Keeps the agents of this host listed, as this host registered them. Other processes may remove an entry (published
//! SDKs do when another host of the same agent leaves) or overwrite catalog and registry; a restarted server may have
//! lost its data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use openagentmesh_protocol::bucket::REGISTRY;
use openagentmesh_protocol::{AgentName, ErrorCode, subject};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use tokio_util::sync::CancellationToken;

use super::service::Services;
use crate::catalog::{BucketState, CacheState, CatalogSnapshot, Registration};
use crate::error::{Error, Result};
use crate::session::Session;
use crate::store::{Delivery, OrderedConsumer, ensure_buckets};
use crate::util::backoff::Backoff;

/// The back-off between attempts to write catalog or registry.
const FIRST_DELAY: Duration = Duration::from_secs(2);
const MAX_DELAY: Duration = Duration::from_secs(16);
/// The delay after an attempt that the server does not permit.
const DENIED_DELAY: Duration = Duration::from_secs(60);
/// The interval of reads of the catalog after writes that may concern the agents of this host.
const READ_INTERVAL: Duration = Duration::from_secs(1);
/// The time after which the catalog is read although its writes say that they do not concern the agents of this host.
const AUDIT_INTERVAL: Duration = Duration::from_secs(60);
/// The interval of the checks for messages that a bucket has lost: a watch does not see that they are purged.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// The time for which changes of contracts are collected: a registration writes many.
const COLLECT_DELAY: Duration = Duration::from_millis(100);

/// Starts the reconciler of `services`. The task ends when `stop` fires.
pub(super) fn start(session: Arc<Session>, services: Arc<Services>, stop: CancellationToken) {
    tokio::spawn(async move {
        let reconciler = Reconciler {
            session,
            services,
            replaced: BTreeMap::new(),
            catalog_state: None,
            registry_state: None,
            changed_contracts: Changed::None,
            is_catalog_lost: false,
            reported: None,
        };
        stop.run_until_cancelled(reconciler.run()).await;
    });
}

struct Reconciler {
    session: Arc<Session>,
    services: Arc<Services>,
    /// The catalog entries of other hosts that have registered the same agent later, as JSON texts.
    replaced: BTreeMap<AgentName, String>,
    /// The buckets at the last check.
    catalog_state: Option<BucketState>,
    registry_state: Option<BucketState>,
    /// The contracts that another process may have written or removed since they were checked.
    changed_contracts: Changed,
    /// Whether the stored catalog was removed, which the cache does not show.
    is_catalog_lost: bool,
    /// The code of the last failure that was logged as a warning; reset by a success.
    reported: Option<ErrorCode>,
}

/// A set of contracts of this host.
enum Changed {
    None,
    Some(BTreeSet<AgentName>),
    All,
}

impl Changed {
    fn insert(&mut self, name: AgentName) {
        match self {
            Self::None => *self = Self::Some(BTreeSet::from([name])),
            Self::Some(names) => drop(names.insert(name)),
            Self::All => {}
        }
    }

    fn contains(&self, name: &AgentName) -> bool {
        match self {
            Self::None => false,
            Self::Some(names) => names.contains(name),
            Self::All => true,
        }
    }
}

impl Reconciler {
    /// Compares the services with catalog and registry after each change, and repairs what differs.
    async fn run(mut self) {
        let mut catalog = self.session.directory.follow_at(READ_INTERVAL);
        let mut audit = Instant::now() + audit_delay();
        let mut reconnections = self.session.connection.watch_reconnections();
        let mut backoff = Backoff::new(FIRST_DELAY, MAX_DELAY);
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut registry = Watch::Closed;
        loop {
            let state = catalog.current();
            if !catalog.is_stale() {
                audit = Instant::now() + audit_delay();
            }
            let retry = match self.reconcile(&state).await {
                Ok(()) => {
                    backoff.reset();
                    self.reported = None;
                    None
                }
                Err(error) => {
                    self.report(&error);
                    Some(Instant::now() + delay(&error, &mut backoff))
                }
            };
            let mut due = retry;
            loop {
                tokio::select! {
                    () = catalog.changed_for(|name| self.may_serve(name)) => break,
                    () = at(due) => break,
                    Ok(()) = reconnections.changed() => {
                        // Other processes may have taken this one for dead.
                        self.changed_contracts = Changed::All;
                    }
                    change = registry.next() => match change {
                        Change::Contract(name) if !self.may_serve(name.as_str()) => continue,
                        Change::Contract(name) => self.changed_contracts.insert(name),
                        Change::All => self.changed_contracts = Changed::All,
                        Change::Closed => registry = Watch::Closed,
                    },
                    _ = checks.tick() => {
                        if matches!(registry, Watch::Closed) {
                            registry = self.watch_registry().await;
                        }
                        if let Err(error) = self.check_buckets(&registry).await {
                            tracing::debug!(%error, "the buckets cannot be checked");
                        }
                        if catalog.is_stale() && Instant::now() >= audit {
                            audit = Instant::now() + audit_delay();
                            catalog.refresh().await;
                        }
                    }
                }
                if due.is_none() && self.has_work() {
                    due = Some(Instant::now() + COLLECT_DELAY);
                }
            }
        }
    }

    fn has_work(&self) -> bool {
        self.is_catalog_lost || !matches!(self.changed_contracts, Changed::None)
    }

    /// Whether agent `name` is served, or may be: agents are being added or removed.
    fn may_serve(&self, name: &str) -> bool {
        match self.services.try_lock() {
            Ok(services) => AgentName::new(name).is_ok_and(|name| services.contains_key(&name)),
            Err(_) => true,
        }
    }

    async fn watch_registry(&mut self) -> Watch {
        match self.session.directory.watch_registry().await {
            Ok(consumer) => {
                // Writes before the watch are not delivered.
                self.changed_contracts = Changed::All;
                Watch::Open(Box::new(consumer))
            }
            Err(error) => {
                tracing::debug!(%error, "the registry cannot be watched");
                Watch::Closed
            }
        }
    }

    /// Looks for messages that the buckets have lost.
    async fn check_buckets(&mut self, registry: &Watch) -> Result<()> {
        let directory = &self.session.directory;
        let catalog = directory.catalog_state().await?;
        let before = self.catalog_state.replace(catalog);
        if before.is_some_and(|before| catalog.has_lost(&before)) {
            self.is_catalog_lost = true;
        }
        let contracts = directory.registry_state().await?;
        let before = self.registry_state.replace(contracts);
        let is_watched = matches!(registry, Watch::Open(_));
        if before.is_some_and(|before| {
            contracts.has_lost(&before) || (!is_watched && contracts != before)
        }) {
            self.changed_contracts = Changed::All;
        }
        Ok(())
    }

    /// Repairs catalog and registry. An agent that is being deregistered is not among the services.
    async fn reconcile(&mut self, state: &CacheState) -> Result<()> {
        let services = Arc::clone(&self.services);
        let services = services.lock().await;
        let served = || services.values().map(|service| service.registration());
        self.replaced.retain(|name, _| services.contains_key(name));
        let session = Arc::clone(&self.session);
        let directory = &session.directory;

        let is_lost = std::mem::replace(&mut self.is_catalog_lost, false);
        let missing: Vec<Registration> = match state {
            _ if is_lost => served().cloned().collect(),
            CacheState::Malformed(_) => served().cloned().collect(),
            CacheState::Ready(snapshot) => {
                let missing = self.wrong_entries(served(), snapshot).await?;
                missing.into_iter().cloned().collect()
            }
            CacheState::Loading | CacheState::Unavailable { .. } => Vec::new(),
        };
        if !missing.is_empty() {
            tracing::debug!(agents = missing.len(), "restoring agents in the catalog");
            // A server that lost the catalog may have lost the other buckets, too.
            let restored = async {
                ensure_buckets(&session.connection).await?;
                directory.restore_contracts(&missing).await?;
                directory.relist(&missing).await
            };
            if let Err(error) = restored.await {
                self.is_catalog_lost = is_lost;
                return Err(error);
            }
        }

        let changed = std::mem::replace(&mut self.changed_contracts, Changed::None);
        let agents = served().filter(|agent| changed.contains(agent.name()));
        let agents: Vec<Registration> = agents.cloned().collect();
        match directory.restore_contracts(&agents).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "contracts restored that another process had changed")
            }
            Err(error) => {
                self.changed_contracts = changed;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The agents whose entries are missing or wrong. The entry of another host that has registered the same agent
    /// later is right.
    async fn wrong_entries<'s>(
        &mut self,
        served: impl Iterator<Item = &'s Registration>,
        snapshot: &CatalogSnapshot,
    ) -> Result<Vec<&'s Registration>> {
        let mut wrong = Vec::new();
        for agent in served {
            let name = agent.name();
            if snapshot.says(agent.entry()) {
                self.replaced.remove(name);
                continue;
            }
            let text = snapshot.document().text(name.as_str());
            let known = self.replaced.get(name).map(String::as_str);
            if text.is_some() && text == known {
                continue;
            }
            if let Some(text) = text
                && self.session.directory.is_replaced(agent, snapshot).await?
            {
                tracing::info!(agent = %name, "another host has registered the agent with another description");
                self.replaced.insert(name.clone(), text.to_owned());
                continue;
            }
            wrong.push(agent);
        }
        Ok(wrong)
    }

    /// Logs a failure once, until it has another code or the next attempt succeeds.
    fn report(&mut self, error: &Error) {
        if self.reported.as_ref() == Some(error.code()) {
            tracing::debug!(%error, "catalog and registry cannot be repaired");
            return;
        }
        tracing::warn!(
            %error,
            "catalog and registry cannot be repaired: the agents of this process are served, and may not be found"
        );
        self.reported = Some(error.code().clone());
    }
}

/// The watch of the registry.
enum Watch {
    Open(Box<OrderedConsumer<Store>>),
    /// It is opened by the next check.
    Closed,
}

/// A change of the registry.
enum Change {
    Contract(AgentName),
    All,
    /// The watch has ended.
    Closed,
}

impl Watch {
    /// The next change; pending while the watch is closed. Cancel-safe.
    async fn next(&mut self) -> Change {
        let Self::Open(consumer) = self else {
            return std::future::pending().await;
        };
        let prefix = subject::kv(REGISTRY, "");
        loop {
            match consumer.next().await {
                Some(Delivery::Message(message)) => {
                    let name = message.subject.strip_prefix(&prefix);
                    if let Some(Ok(name)) = name.map(AgentName::new) {
                        return Change::Contract(name);
                    }
                }
                Some(Delivery::Idle) => {}
                Some(Delivery::BucketRecreated) => return Change::All,
                Some(Delivery::Denied(_)) | None => return Change::Closed,
            }
        }
    }
}

/// A time of up to [`AUDIT_INTERVAL`] that is another one in each process.
fn audit_delay() -> Duration {
    Backoff::new(AUDIT_INTERVAL, AUDIT_INTERVAL).next_delay()
}

fn delay(error: &Error, backoff: &mut Backoff) -> Duration {
    if error.code() == &ErrorCode::ConnectionDenied {
        DENIED_DELAY
    } else {
        backoff.next_delay()
    }
}

/// Resolves at `time`; never if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
