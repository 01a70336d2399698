//! The liveness of host processes: instance records, and the removal of dead instances, with real signals.

use std::process::Stdio;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures::{FutureExt, StreamExt};
use openagentmesh::protocol::bucket::{INSTANCES, LEASES, MONITOR_KEY};
use openagentmesh::protocol::{DeathNotice, DeathReason, InstanceNotice, InstanceRecord, subject};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode, Instance, InstanceState};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::support::role::{is_role, role};
use crate::support::secured::SecuredServer;
use crate::support::{PlainServer, TestMesh, echo, eventually, subscribed, within};

const READY: &str = "serving";

#[tokio::test]
#[ignore = "role process of another test"]
async fn host() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let sleeper = AgentSpec::new("sleeper", "Never replies.")
        .handler(|| async { std::future::pending::<bool>().await });
    mesh.register([named("victim"), sleeper]).await.unwrap();
    println!("{READY}");
    mesh.run().await.unwrap();
}

pub(crate) fn named(name: &str) -> openagentmesh::Agent {
    AgentSpec::new(name, "Serves.").handler(|| async { true })
}

/// Starts a process that serves "victim", and waits until it does.
pub(crate) async fn spawn_host(url: &str) -> Child {
    let mut child = role("instances::host")
        .env("OAM_URL", url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while within(lines.next_line())
        .await
        .unwrap()
        .expect("the process ended")
        != READY
    {}
    // The pipe stays open without a reader, because the remaining output fits in it.
    child.stdout = Some(lines.into_inner().into_inner());
    child
}

async fn is_listed(mesh: &AgentMesh, name: &str) -> bool {
    let catalog = mesh.catalog().fresh().await.unwrap();
    catalog.iter().any(|entry| entry.name.as_str() == name)
}

/// Waits until the catalog lists "victim", or no longer does, and prints the time that this took.
pub(crate) async fn is_eventually(mesh: &AgentMesh, listed: bool, situation: &str) {
    let started = Instant::now();
    let limit = Duration::from_secs(60);
    let changed = tokio::time::timeout(limit, async {
        while is_listed(mesh, "victim").await != listed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    changed.await.expect("timeout after 60 s");
    let state = if listed { "listed" } else { "gone" };
    println!("{situation}: {state} after {:?}", started.elapsed());
}

/// The only instance other than `mesh`.
pub(crate) async fn other_instance(mesh: &AgentMesh) -> Instance {
    let mut instances = within(mesh.instances()).await.unwrap();
    instances.retain(|instance| instance.id != *mesh.instance_id());
    assert_eq!(instances.len(), 1, "{instances:?}");
    instances.remove(0)
}

/// The bucket `bucket`, once the server accepts connections and has it.
async fn store(url: &str, bucket: &str) -> jetstream::kv::Store {
    eventually(|| async {
        let client = async_nats::connect(url).await.ok()?;
        jetstream::new(client).get_key_value(bucket).await.ok()
    })
    .await
}

/// The number of messages in the bucket of the instance records, deletion markers included.
async fn stored_records(url: &str) -> u64 {
    let store = store(url, INSTANCES).await;
    store.stream.get_info().await.unwrap().state.messages
}

/// Waits until the active monitor has renewed its lease several times, which it does with looks at the mesh.
async fn monitor_has_looked(url: &str) {
    let leases = store(url, LEASES).await;
    let revision = || async {
        let entry = leases.entry(MONITOR_KEY).await.unwrap();
        entry.map(|entry| entry.revision)
    };
    let first = eventually(revision).await;
    eventually(|| async { revision().await.filter(|revision| *revision >= first + 3) }).await;
}

#[tokio::test]
async fn killed_only_host_is_removed() {
    let test = TestMesh::start().await;
    test.mesh.register(named("other")).await.unwrap();
    let raw = test.raw().await;
    let mut deaths = subscribed(&raw, "mesh.death.victim").await;
    // A client that listens does not count as a host.
    let _listener = subscribed(&raw, "mesh.>").await;
    let mut host = spawn_host(test.server.url()).await;
    let victim = other_instance(&test.mesh).await;
    host.start_kill().unwrap();
    is_eventually(&test.mesh, false, "kill -9 of the only host").await;
    let notice = within(deaths.next()).await.unwrap();
    let notice: DeathNotice = serde_json::from_slice(&notice.payload).unwrap();
    assert_eq!(notice.reason, DeathReason::Disconnect);
    assert_eq!(notice.instance_id, victim.id);
    let error = test.mesh.contract("victim").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    let removed = || async { (stored_records(test.server.url()).await == 1).then_some(()) };
    eventually(removed).await;
    assert!(is_listed(&test.mesh, "other").await);
}

/// No process with a monitor is left: a caller runs one for some time.
#[tokio::test]
async fn killed_last_host_is_removed_by_its_caller() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let mut deaths = subscribed(&raw, "mesh.death.victim").await;
    // A client that listens does not count as a host.
    let _listener = subscribed(&raw, "mesh.>").await;
    let mut host = spawn_host(test.server.url()).await;
    let victim = other_instance(&test.mesh).await;
    let call = test.mesh.call::<bool>("sleeper", ()).into_future();
    let call = tokio::spawn(call);
    // The request has arrived when a later one is answered.
    assert!(within(test.mesh.call::<bool>("victim", ())).await.unwrap());
    host.start_kill().unwrap();
    let started = Instant::now();
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
    println!(
        "kill -9 of the last host: caller knows after {:?}",
        started.elapsed()
    );
    is_eventually(&test.mesh, false, "kill -9 of the last host").await;
    let notice = within(deaths.next()).await.unwrap();
    let notice: DeathNotice = serde_json::from_slice(&notice.payload).unwrap();
    assert_eq!(notice.instance_id, victim.id);
    eventually(|| async { (stored_records(test.server.url()).await == 0).then_some(()) }).await;
}

#[tokio::test]
async fn killed_host_of_a_plain_server_is_removed() {
    let storage = TempDir::new().unwrap();
    let server = PlainServer::start(Some(storage.path())).await;
    let mesh = server.connect().await;
    mesh.register(named("other")).await.unwrap();
    let mut host = spawn_host(&server.url()).await;
    host.start_kill().unwrap();
    is_eventually(&mesh, false, "kill -9 of the only host, plain server").await;
}

#[tokio::test]
async fn killed_last_host_of_a_plain_server_is_removed_by_its_caller() {
    let storage = TempDir::new().unwrap();
    let server = PlainServer::start(Some(storage.path())).await;
    let mesh = server.connect().await;
    let mut host = spawn_host(&server.url()).await;
    let call = mesh
        .call::<bool>("sleeper", ())
        .timeout(Duration::from_secs(60));
    let call = tokio::spawn(call.into_future());
    assert!(within(mesh.call::<bool>("victim", ())).await.unwrap());
    host.start_kill().unwrap();
    is_eventually(&mesh, false, "kill -9 of the last host, plain server").await;
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
}

#[tokio::test]
async fn killed_replica_leaves_the_entry_of_the_others() {
    let test = TestMesh::start().await;
    test.mesh.register(named("other")).await.unwrap();
    let raw = test.raw().await;
    let mut downs = subscribed(&raw, subject::ALL_INSTANCES_DOWN[0]).await;
    let mut deaths = subscribed(&raw, subject::ALL_DEATHS).await;
    let mut killed = spawn_host(test.server.url()).await;
    let victim = other_instance(&test.mesh).await;
    let _others = [
        spawn_host(test.server.url()).await,
        spawn_host(test.server.url()).await,
    ];
    let started = Instant::now();
    killed.start_kill().unwrap();
    let down = within(downs.next()).await.unwrap();
    println!(
        "kill -9 of one of three: announced after {:?}",
        started.elapsed()
    );
    let notice: InstanceNotice = serde_json::from_slice(&down.payload).unwrap();
    assert_eq!(notice.instance_id, victim.id);
    assert_eq!(notice.agents, victim.agents);
    eventually(|| async { (stored_records(test.server.url()).await == 3).then_some(()) }).await;
    assert!(is_listed(&test.mesh, "victim").await);
    assert!(within(test.mesh.call::<bool>("victim", ())).await.unwrap());
    assert!(deaths.next().now_or_never().is_none());
}

#[tokio::test]
async fn host_that_died_without_a_monitor_is_removed_by_the_next_one() {
    let test = TestMesh::start().await;
    let mut host = spawn_host(test.server.url()).await;
    host.kill().await.unwrap();
    // A process that serves no agent runs no monitor.
    assert!(is_listed(&test.mesh, "victim").await);
    test.mesh.register(named("other")).await.unwrap();
    is_eventually(&test.mesh, false, "start of the next host").await;
}

#[tokio::test]
async fn forged_death_removes_nothing() {
    let test = TestMesh::start().await;
    test.mesh.register(named("other")).await.unwrap();
    let _host = spawn_host(test.server.url()).await;
    let victim = other_instance(&test.mesh).await;
    let raw = test.raw().await;
    let mut downs = subscribed(&raw, subject::ALL_INSTANCES_DOWN[0]).await;

    let namesake = async_nats::ConnectOptions::new()
        .name(victim.id.client_name())
        .connect(test.server.url())
        .await
        .unwrap();
    namesake.drain().await.unwrap();
    drop(namesake);
    let records = store(test.server.url(), INSTANCES).await;
    let record = records.get(victim.id.as_str()).await.unwrap().unwrap();
    let record: InstanceRecord = serde_json::from_slice(&record).unwrap();
    let forged = [
        json!({"server": {"id": record.server_id}, "client": {"id": record.client_id}}),
        json!({"server": {"id": "N"}, "client": {"id": 1, "name": victim.id.client_name()}}),
        json!({"server": {}}),
    ];
    for advisory in forged {
        let advisory = serde_json::to_vec(&advisory).unwrap();
        raw.publish(subject::DISCONNECTS, advisory.into())
            .await
            .unwrap();
    }
    raw.flush().await.unwrap();
    monitor_has_looked(test.server.url()).await;
    assert!(downs.next().now_or_never().is_none());
    assert!(is_listed(&test.mesh, "victim").await);
    assert_eq!(other_instance(&test.mesh).await.id, victim.id);
}

#[tokio::test]
async fn host_that_leaves_takes_its_record_and_announces_its_agents() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    within(host.register([named("a"), named("b")]))
        .await
        .unwrap();
    let instance = other_instance(&test.mesh).await;
    assert_eq!(instance.id, *host.instance_id());
    assert_eq!(instance.agents.len(), 2);
    assert_eq!(instance.state, Some(InstanceState::Serving));
    assert!(instance.started_at.is_some() && instance.renewed_at.is_some());
    assert_eq!(instance.lease, Some(Duration::from_secs(4)));
    assert!(instance.sdk.unwrap().starts_with("rust/"));

    let mut deaths = subscribed(&test.raw().await, subject::ALL_DEATHS).await;
    within(host.deregister(["a"])).await.unwrap();
    let notice = within(deaths.next()).await.unwrap();
    let notice: DeathNotice = serde_json::from_slice(&notice.payload).unwrap();
    assert_eq!(notice.agent.as_str(), "a");
    assert_eq!(notice.reason, DeathReason::GracefulShutdown);
    assert_eq!(other_instance(&test.mesh).await.agents.len(), 1);
    within(host.shutdown()).await.unwrap();
    assert_eq!(stored_records(test.server.url()).await, 0);
    let leases = store(test.server.url(), LEASES).await;
    let state = leases.stream.get_info().await.unwrap().state;
    assert_eq!(state.messages, 0, "the monitor's lease is returned");
}

#[tokio::test]
async fn agent_of_two_hosts_stays_listed_when_one_leaves() {
    let test = TestMesh::start().await;
    let (first, second) = (test.peer().await, test.peer().await);
    within(first.register(named("shared"))).await.unwrap();
    within(second.register(named("shared"))).await.unwrap();
    let catalog = store(test.server.url(), "mesh-catalog").await;
    let before = catalog.entry("catalog").await.unwrap().unwrap().revision;
    within(second.shutdown()).await.unwrap();
    let after = catalog.entry("catalog").await.unwrap().unwrap().revision;
    assert_eq!(before, after, "the catalog is not written");
    assert!(within(test.mesh.contract("shared")).await.is_ok());
    within(first.shutdown()).await.unwrap();
    assert!(!is_listed(&test.mesh, "shared").await);
}

#[tokio::test]
async fn draining_host_says_so() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    let entered = std::sync::Arc::new(tokio::sync::Notify::new());
    let (released, enters) = (release.clone(), entered.clone());
    let slow = AgentSpec::new("slow", "Waits.").handler(move || {
        let (released, enters) = (released.clone(), enters.clone());
        async move {
            enters.notify_one();
            released.notified().await;
            true
        }
    });
    within(host.register(slow)).await.unwrap();
    let caller = test.mesh.clone();
    let running = tokio::spawn(async move { caller.call::<bool>("slow", ()).await });
    within(entered.notified()).await;
    let leaving = tokio::spawn(host.shutdown());
    let draining = || async {
        let state = other_instance(&test.mesh).await.state;
        (state == Some(InstanceState::Draining)).then_some(())
    };
    eventually(draining).await;
    release.notify_one();
    assert!(within(running).await.unwrap().unwrap());
    within(leaving).await.unwrap().unwrap();
}

#[tokio::test]
async fn reconnected_host_writes_the_record_of_its_new_connection() {
    let storage = TempDir::new().unwrap();
    let mut server = PlainServer::start(Some(storage.path())).await;
    let mesh = server.connect().await;
    within(mesh.register(echo())).await.unwrap();
    let id = mesh.instance_id().clone();
    let record = |url: String| {
        let id = id.clone();
        async move {
            let json = store(&url, INSTANCES).await.get(id.as_str()).await;
            serde_json::from_slice::<InstanceRecord>(&json.ok()??).ok()
        }
    };
    let before = eventually(|| record(server.url())).await;
    server.stop().await;
    server.start_again();
    let after = eventually(|| async {
        let record = record(server.url()).await?;
        (record.server_id != before.server_id).then_some(record)
    })
    .await;
    assert_eq!(after.agents, before.agents);
    assert_eq!(after.started_at, before.started_at);
    assert!(is_listed(&mesh, "echo").await);
}

#[tokio::test]
async fn host_without_permission_for_its_record_serves() {
    let storage = TempDir::new().unwrap();
    let denied = [
        "$KV.mesh-instances.>",
        "$JS.API.STREAM.PURGE.>",
        "$JS.API.STREAM.CREATE.KV_mesh-leases",
        "$SYS.>",
        "mesh.death.>",
    ];
    let configuration = format!(
        "jetstream {{ store_dir: {:?} }}\n\
         authorization {{ users: [ {{ user: ann, password: pw, permissions: {{\n\
         publish: {{ deny: {denied:?} }}, subscribe: {{ deny: \"mesh.sys.>\" }} }} }} ] }}",
        storage.path()
    );
    let server = SecuredServer::start(&configuration).await;
    let builder = AgentMesh::builder()
        .url(server.url())
        .user_and_password("ann", "pw");
    let mesh = eventually(|| {
        let connecting = builder.clone().connect();
        async { connecting.await.ok() }
    })
    .await;
    within(mesh.register(echo())).await.unwrap();
    let answer: String = within(mesh.call("echo", "x")).await.unwrap();
    assert_eq!(answer, "Echo: x");
    within(mesh.deregister(["echo"])).await.unwrap();
    assert!(!is_listed(&mesh, "echo").await);
    within(mesh.shutdown()).await.unwrap();
}

#[tokio::test]
async fn lease_out_of_bounds_is_refused() {
    for lease in [Duration::from_millis(999), Duration::from_secs(3601)] {
        let refused = AgentMesh::builder()
            .url("nats://127.0.0.1:1")
            .lease(lease)
            .connect()
            .await
            .unwrap_err();
        assert_eq!(refused.code(), &ErrorCode::Configuration);
        assert_eq!(refused.details()["option"], "lease");
    }
}
