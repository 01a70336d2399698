//! Servers that go away and come back, work that is given up halfway, hosts that leave under load.

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
fn every_future_can_be_spawned() {
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
async fn a_host_that_leaves_under_load_loses_no_request() {
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
        calls += within(caller).await.expect("no call timed out");
    }
    assert!(calls > CALLERS * ROUNDS, "there was some load: {calls}");
}

#[tokio::test]
async fn an_agent_stays_listed_while_another_host_serves_it() {
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
async fn a_contract_that_others_delete_comes_back() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    // As the published SDKs leave: the entry first, then the contract.
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
async fn a_server_that_comes_back_with_nothing_is_told_everything_again() {
    let server = eventually(|| async {
        // Below those that the system gives to whoever asks for any: the one beside it, too, is
        // still free when the server comes back.
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
    // The connection that was lost works as before.
    assert_eq!(names(&mesh).await, ["echo"]);
    let other = AgentSpec::new("other", "Comes later.").handler(|| async { true });
    mesh.register(other).await.unwrap();
    assert!(mesh.call::<bool>("other", ()).await.unwrap());
    mesh.shutdown().await.unwrap();
    assert!(names(&caller).await.is_empty());
}

#[tokio::test]
async fn a_registration_that_nobody_waits_for_goes_on_to_its_end() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    let given_up = tokio::time::timeout(Duration::from_micros(50), host.register(echo())).await;
    assert!(given_up.is_err());
    eventually(|| async { (names(&test.mesh).await == ["echo"]).then_some(()) }).await;
    // What is listed is served, and can be stopped.
    eventually(|| async { host.deregister(["echo"]).await.ok() }).await;
    assert!(names(&test.mesh).await.is_empty());
    // The caller hears of it a moment later.
    eventually(|| async {
        let error = test.mesh.call::<Value>("echo", "x").await.unwrap_err();
        (error.code() == &ErrorCode::NotFound).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_handler_may_shut_its_own_mesh_down() {
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
async fn one_agent_is_registered_while_another_finishes() {
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
async fn calls_that_were_given_up_leave_nothing_behind() {
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
    // A call that is given up gives its place back, and later replies find theirs.
    test.mesh.register(echo()).await.unwrap();
    for number in 0..200 {
        let text = number.to_string();
        let reply = within(test.mesh.call::<String>("echo", &text))
            .await
            .unwrap();
        assert_eq!(reply, format!("Echo: {text}"));
    }
}

/// Blocking a thread is no way to wait, but must not keep the agent from taking the request that ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_that_block_their_threads_until_the_other_comes_are_both_begun() {
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
        assert!(one != other, "one of them came last");
    }
}
