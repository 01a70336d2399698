//! The deaths of instances, one by one.

use std::time::Duration;

use openagentmesh_protocol::{AgentName, InstanceId};
use tokio::time::{Instant, sleep};

use crate::host::{Host, monitor, record};
use crate::world::{LEASE, World};

fn name(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

/// Waits until `is_so`, at most `limit`.
async fn within(limit: Duration, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() <= limit, "not within {limit:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A mesh on which host `b` has become the monitor.
async fn two_hosts() -> (World, Host, Host) {
    let world = World::new(1);
    let b = Host::start(&world, "b", &["shared", "of-b"]);
    sleep(Duration::from_secs(1)).await;
    let a = Host::start(&world, "a", &["shared", "of-a"]);
    sleep(Duration::from_secs(1)).await;
    (world, a, b)
}

#[tokio::test(start_paused = true)]
async fn killed_instance_is_removed_within_a_second() {
    let (world, a, _b) = two_hosts().await;
    a.kill();
    within(Duration::from_secs(1), || !world.lists(&name("of-a"))).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(
        world.deaths(),
        [name("of-a")],
        "another instance serves the other agent"
    );
    assert_eq!(world.down(), [InstanceId::parse("a").unwrap()]);
    assert!(world.lists(&name("shared")));
    assert_eq!(world.state().records.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn killed_monitor_is_removed_by_the_next_one_within_two_seconds() {
    let (world, _a, b) = two_hosts().await;
    b.kill();
    within(Duration::from_secs(2), || !world.lists(&name("of-b"))).await;
    assert!(world.lists(&name("of-a")));
}

#[tokio::test(start_paused = true)]
async fn killed_instance_on_a_server_without_advisories_is_removed_before_its_lease_ends() {
    let (world, a, _b) = two_hosts().await;
    world.state().has_advisories = false;
    a.kill();
    within(LEASE, || !world.lists(&name("of-a"))).await;
}

#[tokio::test(start_paused = true)]
async fn killed_instance_on_a_server_that_reports_nothing_is_removed_when_its_lease_ends() {
    let (world, a, _b) = two_hosts().await;
    world.state().has_advisories = false;
    world.state().has_connections = false;
    a.kill();
    within(LEASE + Duration::from_secs(1), || {
        !world.lists(&name("of-a"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn frozen_instance_is_removed_and_listed_again_once_it_runs() {
    let (world, a, _b) = two_hosts().await;
    a.freeze(Duration::from_secs(20));
    within(LEASE + Duration::from_secs(1), || {
        !world.lists(&name("of-a"))
    })
    .await;
    assert!(world.lists(&name("shared")));
    sleep(Duration::from_secs(20)).await;
    assert!(world.lists(&name("of-a")));
    assert_eq!(world.state().records.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn reconnected_instance_keeps_its_entries() {
    let (world, a, _b) = two_hosts().await;
    a.reconnect(Duration::from_millis(200)).await;
    for _ in 0..1000 {
        assert!(world.lists(&name("of-a")));
        sleep(Duration::from_millis(10)).await;
    }
    assert!(world.state().notices.is_empty());
}

#[tokio::test(start_paused = true)]
async fn forged_disconnect_removes_nothing() {
    let (world, a, _b) = two_hosts().await;
    let forger = world.connect(&a.id.client_name());
    world.disconnect(&forger);
    world.forge_advisory(&forger, &a.id.client_name());
    let victim = world.state().records[&a.id].0.connection().unwrap();
    world.forge_advisory(&victim, &a.id.client_name());
    for _ in 0..1000 {
        assert!(world.lists(&name("of-a")));
        sleep(Duration::from_millis(10)).await;
    }
    assert!(world.state().notices.is_empty());
}

#[tokio::test(start_paused = true)]
async fn instance_that_died_while_no_monitor_ran_is_removed_within_three_seconds_of_its_start() {
    let world = World::new(1);
    let a = Host::start(&world, "a", &["of-a"]);
    sleep(Duration::from_millis(100)).await;
    a.kill();
    sleep(Duration::from_secs(60)).await;
    assert!(world.lists(&name("of-a")));
    let _monitor = monitor(
        &world,
        InstanceId::random(),
        std::sync::Arc::new(std::sync::Mutex::new(Instant::now())),
    );
    within(Duration::from_secs(3), || !world.lists(&name("of-a"))).await;
}

#[tokio::test(start_paused = true)]
async fn entry_without_a_record_stays_while_a_connection_subscribes_to_it() {
    let world = World::new(1);
    let _a = Host::start(&world, "a", &["of-a"]);
    let other = Host::without_record(&world, &["of-other"]);
    sleep(Duration::from_secs(60)).await;
    assert!(world.lists(&name("of-other")));
    world.disconnect(&other);
    within(Duration::from_secs(30), || !world.lists(&name("of-other"))).await;
    assert_eq!(world.deaths(), [name("of-other")]);
}

#[tokio::test(start_paused = true)]
async fn agent_that_a_process_without_a_record_serves_too_stays_listed() {
    let (world, a, _b) = two_hosts().await;
    let _other = Host::without_record(&world, &["of-a"]);
    a.kill();
    sleep(Duration::from_secs(30)).await;
    assert!(world.lists(&name("of-a")));
    assert!(world.deaths().is_empty());
}

/// A record can name any agent, and more than the server can be asked about in time.
#[tokio::test(start_paused = true)]
async fn record_of_many_agents_removes_none_that_another_process_serves() {
    let (world, a, _b) = two_hosts().await;
    let _other = Host::without_record(&world, &["of-other"]);
    let decoys = (0..20_000).map(|number| name(&format!("decoy-{number}")));
    let agents: Vec<AgentName> = decoys.chain([name("of-other"), name("of-a")]).collect();
    let a_id = InstanceId::parse("a").unwrap();
    {
        let mut state = world.state();
        state.records.get_mut(&a_id).unwrap().0.agents = agents;
    }
    a.kill();
    within(Duration::from_secs(300), || {
        !world.state().records.contains_key(&a_id)
    })
    .await;
    assert!(world.lists(&name("of-other")));
    assert!(!world.lists(&name("of-a")));
    let deaths = world.deaths();
    assert!(deaths.contains(&name("of-a")) && !deaths.contains(&name("of-other")));
    assert_eq!(deaths.len(), 20_001, "each death is announced once");
}

/// The replica registers between the monitor's look and the removal.
#[tokio::test(start_paused = true)]
async fn replica_that_registers_during_the_removal_keeps_its_entry() {
    let (world, a, _b) = two_hosts().await;
    world.state().has_connections = false;
    world.state().after_records = Some(Box::new(|world| {
        let replica = InstanceId::parse("replica").unwrap();
        let connection = world.connect(&replica.client_name());
        let agents = [name("of-a")];
        world.write_record(&replica, record(&agents, &connection));
        world.list(&agents[0]);
    }));
    let id = a.id.clone();
    a.kill();
    within(2 * LEASE, || !world.state().records.contains_key(&id)).await;
    assert!(world.state().after_records.is_none());
    assert!(world.lists(&name("of-a")));
    assert!(world.deaths().is_empty());
}
