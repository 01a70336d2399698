//! A simulated mesh: its store, its connections, and its notices.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use openagentmesh_monitor::{
    Connections, Disconnect, Held, Instance, Listed, Listing, Mesh, Notice, Waker,
};
use openagentmesh_protocol::{AgentName, ConnectionId, InstanceId, InstanceRecord, InstanceState};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

/// The lease of a simulated host.
pub(crate) const LEASE: Duration = Duration::from_secs(4);
/// The time that a process has to renew its record after it was frozen, or without a connection.
pub(crate) const SLACK: Duration = Duration::from_secs(1);
/// The longest time from the removal of an agent to the notice of its death.
const ANNOUNCEMENT: Duration = Duration::from_millis(200);
const SERVER: &str = "SERVER";

type Hook = Box<dyn FnOnce(&World) + Send>;

/// Everything that the processes share.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

pub(crate) struct State {
    random: SmallRng,
    /// The probability of a failure of one operation.
    failures: f64,
    /// The server does not answer before this time.
    unreachable_until: Instant,
    revision: u64,
    pub(crate) records: BTreeMap<InstanceId, (InstanceRecord, u64)>,
    pub(crate) catalog: BTreeSet<AgentName>,
    catalog_revision: u64,
    lease: Option<(InstanceId, u64)>,
    next_client: u64,
    pub(crate) connections: HashMap<ConnectionId, String>,
    subscriptions: HashMap<AgentName, BTreeSet<ConnectionId>>,
    /// The monitors of all processes.
    pub(crate) wakers: Vec<Waker>,
    /// Whether the server's advisories reach the mesh.
    pub(crate) has_advisories: bool,
    /// Whether the server answers questions about connections.
    pub(crate) has_connections: bool,
    pub(crate) notices: Vec<(Instant, Notice)>,
    /// Runs once, right after the records were read while one of them is marked as dead.
    pub(crate) after_records: Option<Hook>,
    /// The processes that have not been killed.
    pub(crate) living: BTreeMap<InstanceId, Living>,
    /// The agents whose death was announced while a healthy process served them.
    pub(crate) false_deaths: Vec<AgentName>,
    /// The agents whose entries were removed while a healthy process served them.
    pub(crate) false_removals: Vec<AgentName>,
}

/// A process that has not been killed.
pub(crate) struct Living {
    pub(crate) agents: Vec<AgentName>,
    /// The process was frozen, or without a connection, until this time.
    pub(crate) healthy_since: Arc<Mutex<Instant>>,
    pub(crate) registered: Arc<OnceLock<Instant>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: SmallRng::seed_from_u64(seed),
            failures: 0.0,
            unreachable_until: Instant::now(),
            revision: 0,
            records: BTreeMap::new(),
            catalog: BTreeSet::new(),
            catalog_revision: 0,
            lease: None,
            next_client: 0,
            connections: HashMap::new(),
            subscriptions: HashMap::new(),
            wakers: Vec::new(),
            has_advisories: true,
            has_connections: true,
            notices: Vec::new(),
            after_records: None,
            living: BTreeMap::new(),
            false_deaths: Vec::new(),
            false_removals: Vec::new(),
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn set_failures(&self, probability: f64) {
        self.state().failures = probability;
    }

    /// Lets every request fail for `time`, also those of hosts that renew their records.
    pub(crate) fn set_unreachable(&self, time: Duration) {
        self.state().unreachable_until = Instant::now() + time;
    }

    /// A random number below `limit`.
    pub(crate) fn random(&self, limit: u64) -> u64 {
        self.state().random.random_range(0..limit)
    }

    /// One request to the server: its delay, and its failure now and then.
    async fn request(&self) -> Result<(), String> {
        let (delay, fails) = {
            let mut state = self.state();
            let delay = if state.random.random_range(0..4) == 0 {
                state.random.random_range(0..20)
            } else {
                0
            };
            let failures = state.failures;
            let fails = state.random.random_bool(failures);
            (delay, fails || state.is_unreachable())
        };
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        if fails {
            return Err("the server does not answer".to_owned());
        }
        Ok(())
    }

    pub(crate) fn connect(&self, name: &str) -> ConnectionId {
        let mut state = self.state();
        state.next_client += 1;
        let id = ConnectionId {
            server_id: SERVER.to_owned(),
            client_id: state.next_client,
        };
        state.connections.insert(id.clone(), name.to_owned());
        id
    }

    /// Ends a connection, of which the server's advisory tells.
    pub(crate) fn disconnect(&self, id: &ConnectionId) {
        let mut state = self.state();
        let Some(name) = state.connections.remove(id) else {
            return;
        };
        for subscribers in state.subscriptions.values_mut() {
            subscribers.remove(id);
        }
        if state.has_advisories {
            state.advise(id, &name);
        }
    }

    /// Publishes an advisory that no server has sent.
    pub(crate) fn forge_advisory(&self, id: &ConnectionId, name: &str) {
        self.state().advise(id, name);
    }

    pub(crate) fn subscribe(&self, agent: &AgentName, id: &ConnectionId) {
        let mut state = self.state();
        if !state.connections.contains_key(id) {
            return;
        }
        let subscribers = state.subscriptions.entry(agent.clone()).or_default();
        subscribers.insert(id.clone());
    }

    /// Lists an agent; every registration writes the catalog.
    pub(crate) fn list(&self, agent: &AgentName) {
        let mut state = self.state();
        state.catalog.insert(agent.clone());
        state.catalog_revision = state.next_revision();
    }

    pub(crate) fn write_record(&self, id: &InstanceId, record: InstanceRecord) {
        let mut state = self.state();
        let revision = state.next_revision();
        state.records.insert(id.clone(), (record, revision));
    }

    pub(crate) fn lists(&self, agent: &AgentName) -> bool {
        self.state().catalog.contains(agent)
    }

    pub(crate) fn deaths(&self) -> Vec<AgentName> {
        let state = self.state();
        let deaths = state.notices.iter().filter_map(|(_, notice)| match notice {
            Notice::Death(death) => Some(death.agent.clone()),
            Notice::InstanceDown(_) => None,
        });
        deaths.collect()
    }

    /// The instances that were announced to be down.
    pub(crate) fn down(&self) -> Vec<InstanceId> {
        let state = self.state();
        let down = state.notices.iter().filter_map(|(_, notice)| match notice {
            Notice::InstanceDown(down) => Some(down.instance_id.clone()),
            Notice::Death(_) => None,
        });
        down.collect()
    }
}

impl Living {
    /// Whether the process has served `agent` for long enough that every monitor must know.
    fn serves(&self, agent: &AgentName) -> bool {
        let healthy_since = *self.healthy_since.lock().unwrap();
        self.agents.contains(agent)
            && self.registered.get().is_some()
            && healthy_since + SLACK <= Instant::now()
    }

    /// Whether the process has served `agent` since before a removal that is announced now.
    fn has_served(&self, agent: &AgentName) -> bool {
        let registered = self.registered.get();
        let is_old = registered.is_some_and(|registered| registered.elapsed() >= ANNOUNCEMENT);
        self.serves(agent) && is_old
    }
}

impl State {
    pub(crate) fn is_unreachable(&self) -> bool {
        Instant::now() < self.unreachable_until
    }

    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    fn advise(&self, id: &ConnectionId, name: &str) {
        let instance = name.strip_prefix("oam-host-");
        for waker in &self.wakers {
            waker.disconnected(Disconnect {
                connection: id.clone(),
                instance: instance.and_then(|id| InstanceId::parse(id).ok()),
            });
        }
    }
}

impl Mesh for World {
    type Error = String;

    async fn instances(&self) -> Result<Vec<Instance>, String> {
        self.request().await?;
        let mut state = self.state();
        let records = state.records.iter();
        let instances: Vec<_> = records
            .map(|(id, (record, revision))| Instance {
                id: id.clone(),
                record: record.clone(),
                revision: *revision,
            })
            .collect();
        let is_marked = |instance: &Instance| instance.record.state == Some(InstanceState::Dead);
        let after = instances
            .iter()
            .any(is_marked)
            .then(|| state.after_records.take());
        drop(state);
        if let Some(after) = after.flatten() {
            after(self);
        }
        Ok(instances)
    }

    async fn instance(&self, id: &InstanceId) -> Result<Option<Instance>, String> {
        let instances = self.instances().await?;
        Ok(instances.into_iter().find(|instance| instance.id == *id))
    }

    async fn listing(&self) -> Result<Listing, String> {
        self.request().await?;
        let state = self.state();
        let agents = state.catalog.iter().map(|name| Listed {
            name: name.clone(),
            invocable: true,
        });
        Ok(Listing {
            agents: agents.collect(),
            revision: state.catalog_revision,
        })
    }

    async fn connections(&self, client_id: Option<u64>) -> Result<Connections, String> {
        self.request().await?;
        let state = self.state();
        if !state.has_connections {
            return Err("no permission".to_owned());
        }
        let mut connections = Connections::default();
        connections.insert_server(SERVER);
        for (id, name) in &state.connections {
            if client_id.is_none_or(|client_id| client_id == id.client_id) {
                connections.insert(id.clone(), name);
            }
        }
        if client_id.is_none() {
            connections.set_complete();
        }
        Ok(connections)
    }

    async fn subscribers(&self, agent: &AgentName) -> Result<Connections, String> {
        self.request().await?;
        let state = self.state();
        if !state.has_connections {
            return Err("no permission".to_owned());
        }
        let mut connections = Connections::default();
        connections.insert_server(SERVER);
        for id in state.subscriptions.get(agent).into_iter().flatten() {
            connections.insert(id.clone(), "");
        }
        Ok(connections)
    }

    async fn write_instance(
        &self,
        id: &InstanceId,
        record: &InstanceRecord,
        revision: u64,
    ) -> Result<Option<u64>, String> {
        self.request().await?;
        let mut state = self.state();
        if state.records.get(id).map(|(_, current)| *current) != Some(revision) {
            return Ok(None);
        }
        let written = state.next_revision();
        state.records.insert(id.clone(), (record.clone(), written));
        Ok(Some(written))
    }

    async fn remove_instance(&self, id: &InstanceId, revision: u64) -> Result<bool, String> {
        self.request().await?;
        let mut state = self.state();
        if state.records.get(id).map(|(_, current)| *current) != Some(revision) {
            return Ok(false);
        }
        state.records.remove(id);
        Ok(true)
    }

    async fn remove_agents(&self, agents: &[AgentName], revision: u64) -> Result<bool, String> {
        self.request().await?;
        let mut state = self.state();
        if state.catalog_revision != revision {
            return Ok(false);
        }
        for agent in agents {
            if state.living.values().any(|living| living.serves(agent)) {
                state.false_removals.push(agent.clone());
            }
            state.catalog.remove(agent);
        }
        state.catalog_revision = state.next_revision();
        Ok(true)
    }

    async fn announce(&self, notice: &Notice) -> Result<(), String> {
        self.request().await?;
        let mut state = self.state();
        if let Notice::Death(death) = notice
            && state
                .living
                .values()
                .any(|living| living.has_served(&death.agent))
        {
            state.false_deaths.push(death.agent.clone());
        }
        state.notices.push((Instant::now(), notice.clone()));
        Ok(())
    }

    async fn lease(&self) -> Result<Option<Held>, String> {
        self.request().await?;
        let lease = self.state().lease.clone();
        Ok(lease.map(|(holder, revision)| Held { holder, revision }))
    }

    async fn write_lease(&self, holder: &InstanceId, revision: u64) -> Result<Option<u64>, String> {
        self.request().await?;
        let mut state = self.state();
        if state.lease.as_ref().map_or(0, |(_, current)| *current) != revision {
            return Ok(None);
        }
        let written = state.next_revision();
        state.lease = Some((holder.clone(), written));
        Ok(Some(written))
    }

    async fn remove_lease(&self, revision: u64) -> Result<bool, String> {
        self.request().await?;
        let mut state = self.state();
        if state.lease.as_ref().map(|(_, current)| *current) != Some(revision) {
            return Ok(false);
        }
        state.lease = None;
        Ok(true)
    }
}
