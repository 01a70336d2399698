//! The simulated processes.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use openagentmesh_monitor::{Monitor, Settings};
use openagentmesh_protocol::{AgentName, ConnectionId, InstanceId, InstanceRecord, InstanceState};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::world::{LEASE, Living, SLACK, World};

/// A simulated process that serves agents and runs a monitor.
pub(crate) struct Host {
    world: World,
    pub(crate) id: InstanceId,
    pub(crate) agents: Vec<AgentName>,
    connection: Arc<Mutex<ConnectionId>>,
    /// The process does nothing, or has no connection, before this time.
    healthy_since: Arc<Mutex<Instant>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Host {
    pub(crate) fn start(world: &World, id: &str, agents: &[&str]) -> Self {
        let id = InstanceId::parse(id).unwrap();
        let agents: Vec<_> = agents
            .iter()
            .map(|name| AgentName::new(*name).unwrap())
            .collect();
        let mut host = Self {
            world: world.clone(),
            connection: Arc::new(Mutex::new(world.connect(&id.client_name()))),
            id,
            agents,
            healthy_since: Arc::new(Mutex::new(Instant::now() - SLACK)),
            tasks: vec![],
        };
        let living = Living {
            agents: host.agents.clone(),
            healthy_since: Arc::clone(&host.healthy_since),
            registered: Arc::default(),
        };
        let registered = Arc::clone(&living.registered);
        world.state().living.insert(host.id.clone(), living);
        host.tasks.push(tokio::spawn(keep_listed(
            world.clone(),
            host.id.clone(),
            host.agents.clone(),
            Arc::clone(&host.connection),
            Arc::clone(&host.healthy_since),
            registered,
        )));
        host.tasks.push(monitor(
            world,
            host.id.clone(),
            Arc::clone(&host.healthy_since),
        ));
        host
    }

    fn connection(&self) -> ConnectionId {
        self.connection.lock().unwrap().clone()
    }

    /// Ends the process without a word.
    pub(crate) fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.world.state().living.remove(&self.id);
        self.world.disconnect(&self.connection());
    }

    /// Stops the process for `time`. Its connection stays.
    pub(crate) fn freeze(&self, time: Duration) {
        self.set_healthy_after(time);
    }

    fn set_healthy_after(&self, time: Duration) {
        let mut healthy_since = self.healthy_since.lock().unwrap();
        *healthy_since = (*healthy_since).max(Instant::now() + time);
    }

    /// Loses the connection, and has another one after `time`.
    pub(crate) async fn reconnect(&self, time: Duration) {
        self.set_healthy_after(time);
        self.world.disconnect(&self.connection());
        sleep(time).await;
        let connection = self.world.connect(&self.id.client_name());
        register(&self.world, &self.id, &self.agents, &connection).await;
        *self.connection.lock().unwrap() = connection;
    }

    /// A process of an SDK without records serves `agents`.
    pub(crate) fn without_record(world: &World, agents: &[&str]) -> ConnectionId {
        let connection = world.connect("other");
        for agent in agents {
            let agent = AgentName::new(*agent).unwrap();
            world.subscribe(&agent, &connection);
            world.list(&agent);
        }
        connection
    }
}

pub(crate) fn record(agents: &[AgentName], connection: &ConnectionId) -> InstanceRecord {
    InstanceRecord {
        agents: agents.to_vec(),
        lease_ms: Some(LEASE.as_millis() as u64),
        state: Some(InstanceState::Serving),
        client_id: Some(connection.client_id),
        server_id: Some(connection.server_id.clone()),
        ..InstanceRecord::default()
    }
}

/// Subscribes, writes the record, and lists the agents, in this order.
async fn register(world: &World, id: &InstanceId, agents: &[AgentName], connection: &ConnectionId) {
    for agent in agents {
        world.subscribe(agent, connection);
    }
    sleep(Duration::from_millis(world.random(20))).await;
    world.write_record(id, record(agents, connection));
    sleep(Duration::from_millis(world.random(20))).await;
    for agent in agents {
        world.list(agent);
    }
}

/// Renews the record, and lists agents again that are missing in the catalog.
async fn keep_listed(
    world: World,
    id: InstanceId,
    agents: Vec<AgentName>,
    connection: Arc<Mutex<ConnectionId>>,
    healthy_since: Arc<Mutex<Instant>>,
    registered: Arc<OnceLock<Instant>>,
) {
    let first = connection.lock().unwrap().clone();
    register(&world, &id, &agents, &first).await;
    registered.get_or_init(Instant::now);
    let mut renewed = Instant::now();
    loop {
        sleep(Duration::from_millis(200)).await;
        thaw(&healthy_since).await;
        let current = connection.lock().unwrap().clone();
        if !world.state().connections.contains_key(&current) || world.state().is_unreachable() {
            continue;
        }
        let is_marked = match world.state().records.get(&id) {
            Some((record, _)) => record.state == Some(InstanceState::Dead),
            None => true,
        };
        if is_marked || renewed.elapsed() >= LEASE / 3 {
            renewed = Instant::now();
            world.write_record(&id, record(&agents, &current));
        }
        for agent in &agents {
            if !world.lists(agent) {
                world.list(agent);
            }
        }
    }
}

/// Runs a monitor that stands still while its process is frozen.
pub(crate) fn monitor(
    world: &World,
    id: InstanceId,
    healthy_since: Arc<Mutex<Instant>>,
) -> JoinHandle<()> {
    let (mut monitor, waker) = Monitor::new(world.clone(), id, Settings::default());
    world.state().wakers.push(waker);
    tokio::spawn(async move {
        loop {
            // A frozen process polls nothing; dropping the run at its next pause is the same to the mesh.
            let frozen = async {
                loop {
                    sleep(Duration::from_millis(100)).await;
                    if *healthy_since.lock().unwrap() > Instant::now() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = monitor.run() => {}
                () = frozen => {}
            }
            thaw(&healthy_since).await;
        }
    })
}

async fn thaw(healthy_since: &Mutex<Instant>) {
    loop {
        let until = *healthy_since.lock().unwrap();
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}
