//! Server restarts, dropped work, and hosts that leave under load.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{TestMesh, echo, eventually, within};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};
use openagentmesh_local::LocalServer;
use serde_json::Value;
use tokio::sync::Notify;

async fn names(mesh: &AgentMesh) -> Vec<String> {
    let mut names: Vec<_> = mesh
        .catalog()
        .fresh()
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    names
}

#[test]
fn futures_of_the_mesh_are_send() {
    fn is_send<T: Send>(_: T) {}
    fn all(mesh: &'static AgentMesh) {
        is_send(AgentMesh::connect("x"));
        is_send(AgentMesh::from_env());
        is_send(AgentMesh::local());
        is_send(mesh.register(echo()));
        is_send(mesh.deregister(["echo"]));
        is_send(mesh.call::<Value>("echo", "x").into_future());
        is_send(mesh.catalog());
        is_send(mesh.contract("echo"));
        is_send(mesh.run());
        is_send(mesh.shutdown());
    }
    let _ = all;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_that_leaves_under_load_loses_no_request() {
    const ROUNDS: usize = 15;
    const CALLERS: usize = 32;
    let test = TestMesh::start().await;
    let (staying, leaving) = (test.peer().await, test.peer().await);
    staying.register(echo()).await.unwrap();

    let stop = Arc::new(Notify::new());
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (mesh, stop) = (test.mesh.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let stopped = stop.notified();
                tokio::pin!(stopped);
                stopped.as_mut().enable();
                let mut calls = 0;
                loop {
                    let call = mesh.call::<String>("echo", caller.to_string());
                    call.timeout(Duration::from_secs(5)).await.unwrap();
                    calls += 1;
                    if futures::poll!(&mut stopped).is_ready() {
                        return calls;
                    }
                }
            })
        })
        .collect();
    for _ in 0..ROUNDS {
        leaving.register(echo()).await.unwrap();
        leaving.deregister(["echo"]).await.unwrap();
    }
    stop.notify_waiters();
    let mut calls = 0;
    for caller in callers {
        calls += within(caller).await.expect("a call failed");
    }
    assert!(calls > CALLERS * ROUNDS, "too little load: {calls} calls");
}

#[tokio::test]
async fn agent_stays_listed_until_its_last_host_leaves() {
    let test = TestMesh::start().await;
    let (staying, leaving) = (test.peer().await, test.peer().await);
    staying.register(echo()).await.unwrap();
    leaving.register(echo()).await.unwrap();
    leaving.shutdown().await.unwrap();
    eventually(|| async { test.mesh.contract("echo").await.ok() }).await;
    eventually(|| async { (names(&test.mesh).await == ["echo"]).then_some(()) }).await;
    staying.shutdown().await.unwrap();
    assert!(names(&test.mesh).await.is_empty());
}

#[tokio::test]
async fn deleted_contract_of_a_served_agent_is_restored() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    // The published SDKs deregister in this order: first the entry, then the contract.
    jetstream
        .get_key_value("mesh-catalog")
        .await
        .unwrap()
        .put("catalog", "[]".into())
        .await
        .unwrap();
    eventually(|| async { (names(&test.mesh).await == ["echo"]).then_some(()) }).await;
    jetstream
        .get_key_value("mesh-registry")
        .await
        .unwrap()
        .delete("echo")
        .await
        .unwrap();
    eventually(|| async { test.mesh.contract("echo").await.ok() }).await;
}

#[tokio::test]
async fn agents_are_registered_again_after_a_server_lost_its_storage() {
    let server = eventually(|| async {
        // A port below the ephemeral range stays free until the server starts again.
        let port = 20_000 + (RandomState::new().hash_one(()) % 10_000) as u16;
        LocalServer::builder().port(port).start().await.ok()
    })
    .await;
    let port = server.port();
    let mesh = AgentMesh::connect(server.url()).await.unwrap();
    mesh.register(echo()).await.unwrap();
    server.stop().await.unwrap();
    let server = LocalServer::builder().port(port).start().await.unwrap();

    let caller = AgentMesh::connect(server.url()).await.unwrap();
    eventually(|| async { (names(&caller).await == ["echo"]).then_some(()) }).await;
    caller.contract("echo").await.unwrap();
    assert_eq!(
        within(caller.call::<String>("echo", "x")).await.unwrap(),
        "Echo: x"
    );
    // The reconnected mesh works as before.
    assert_eq!(names(&mesh).await, ["echo"]);
    let other = AgentSpec::new("other", "Is registered later.").handler(|| async { true });
    mesh.register(other).await.unwrap();
    assert!(mesh.call::<bool>("other", ()).await.unwrap());
    mesh.shutdown().await.unwrap();
    assert!(names(&caller).await.is_empty());
}

#[tokio::test]
async fn dropped_registration_runs_to_completion() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    let mut registering = Box::pin(host.register(echo()));
    assert!(futures::poll!(&mut registering).is_pending());
    drop(registering);
    eventually(|| async { (names(&test.mesh).await == ["echo"]).then_some(()) }).await;
    // The listed agent is served, and can be deregistered.
    eventually(|| async { host.deregister(["echo"]).await.ok() }).await;
    assert!(names(&test.mesh).await.is_empty());
    // The server removes the subscription asynchronously.
    eventually(|| async {
        let error = test.mesh.call::<Value>("echo", "x").await.unwrap_err();
        (error.code() == &ErrorCode::NotFound).then_some(())
    })
    .await;
}

#[tokio::test]
async fn handler_that_shuts_its_own_mesh_down_is_cancelled() {
    let test = TestMesh::start().await;
    let host = AgentMesh::builder()
        .url(test.server.url())
        .shutdown_grace(Duration::from_millis(200))
        .connect()
        .await
        .unwrap();
    let mesh = host.clone();
    let stop = AgentSpec::new("stop", "Stops its host.").handler(move || {
        let mesh = mesh.clone();
        async move { mesh.shutdown().await }
    });
    host.register(stop).await.unwrap();
    let error = within(test.mesh.call::<Value>("stop", ()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotAvailable);
    eventually(|| async { names(&test.mesh).await.is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn registration_during_a_drain_succeeds() {
    let test = TestMesh::start().await;
    let entered = Arc::new(Notify::new());
    let release = Arc::new(Notify::new());
    let (signal, gate) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = AgentSpec::new("slow", "Answers when it is released.").handler(move || {
        signal.notify_one();
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            true
        }
    });
    test.mesh.register(slow).await.unwrap();
    let caller = test.peer().await;
    let call = tokio::spawn(async move { caller.call::<bool>("slow", ()).await });
    entered.notified().await;
    let mesh = test.mesh.clone();
    let leaving = tokio::spawn(async move { mesh.deregister(["slow"]).await });
    within(test.mesh.register(echo())).await.unwrap();
    release.notify_one();
    assert!(within(call).await.unwrap().unwrap());
    within(leaving).await.unwrap().unwrap();
    assert_eq!(names(&test.mesh).await, ["echo"]);
}

#[tokio::test]
async fn timed_out_calls_release_their_places() {
    let test = TestMesh::start().await;
    let waiting = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waiting);
    let silent = AgentSpec::new("silent", "Never answers.")
        .concurrency(4096)
        .handler(move || {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<u32>()
        });
    test.mesh.register(silent).await.unwrap();
    for _ in 0..200 {
        let call = test
            .mesh
            .call::<u32>("silent", ())
            .timeout(Duration::from_millis(1));
        assert!(call.await.is_err());
    }
    // Later replies still reach their own calls.
    test.mesh.register(echo()).await.unwrap();
    for number in 0..200 {
        let text = number.to_string();
        let reply = within(test.mesh.call::<String>("echo", &text))
            .await
            .unwrap();
        assert_eq!(reply, format!("Echo: {text}"));
    }
}

/// A handler that blocks its thread must not keep its host from accepting the request that unblocks it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_that_block_their_threads_run_concurrently() {
    let test = TestMesh::start().await;
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let meet = AgentSpec::new("meet", "Waits for another request.").handler(move || {
        let barrier = Arc::clone(&barrier);
        async move { tokio::task::block_in_place(|| barrier.wait().is_leader()) }
    });
    test.mesh.register(meet).await.unwrap();
    for _ in 0..3 {
        let one = test.mesh.call::<bool>("meet", ()).into_future();
        let other = test.mesh.call::<bool>("meet", ()).into_future();
        let (one, other) = within(futures::future::try_join(one, other)).await.unwrap();
        assert!(one != other, "one of the two is the leader of the barrier");
    }
}
