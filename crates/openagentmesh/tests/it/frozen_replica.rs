//! One of three replicas is frozen under load: callers with retries notice nothing.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openagentmesh::protocol::{AgentName, subject};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode, Retry};
use tokio::time::interval;

use crate::support::peer::Peer;
use crate::support::role::is_role;
use crate::support::{TestMesh, echo, eventually, within};

/// The time between two requests.
const INTERVAL: Duration = Duration::from_millis(2);
/// Requests before the freeze, and during it.
const BEFORE: usize = 500;
const DURING: usize = 5000;

#[tokio::test]
async fn instance_answers_requests_on_its_own_subject() {
    let test = TestMesh::start().await;
    let other = test.peer().await;
    test.mesh.register(echo()).await.unwrap();
    other.register(echo()).await.unwrap();
    let raw = test.raw().await;
    let ask = async |name: &str| {
        let subject =
            subject::instance_request(other.instance_id(), &AgentName::new(name).unwrap());
        within(raw.request(subject, "\"x\"".into())).await.unwrap()
    };
    for _ in 0..10 {
        let reply = ask("echo").await;
        let headers = reply.headers.unwrap();
        let instance = headers.get("X-Mesh-Instance-Id").unwrap();
        assert_eq!(instance.as_str(), other.instance_id().as_str());
        assert_eq!(&*reply.payload, b"\"Echo: x\"");
    }
    let unserved: serde_json::Value = serde_json::from_slice(&ask("nosuch").await.payload).unwrap();
    assert_eq!(unserved["code"], "not_available");
    other.deregister(["echo"]).await.unwrap();
    let gone: serde_json::Value = serde_json::from_slice(&ask("echo").await.payload).unwrap();
    assert_eq!(gone["code"], "not_available");
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn replica() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let next = AgentSpec::new("next", "Adds one.").idempotent();
    mesh.register(next.handler(|number: u64| async move { number + 1 }))
        .await
        .unwrap();
    println!("\nready {}", mesh.instance_id());
    std::future::pending::<()>().await;
}

async fn start_replica(test: &TestMesh) -> (Peer, String) {
    let mut peer = Peer::start("frozen_replica::replica", test.server.url());
    let id = peer.reads("ready").await;
    (peer, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_replica_fails_no_request_of_a_caller_with_retries() {
    let test = TestMesh::start().await;
    let ((frozen, id), _second, _third) = tokio::join!(
        start_replica(&test),
        start_replica(&test),
        start_replica(&test)
    );
    let mut ticks = interval(INTERVAL);
    let calls = FuturesUnordered::new();
    for number in 0..BEFORE + DURING {
        ticks.tick().await;
        if number == BEFORE {
            frozen.signal("STOP");
        }
        let call = test.mesh.call::<u64>("next", number as u64);
        let call = call
            .retry(Retry::attempts(5))
            .timeout(Duration::from_secs(60));
        calls.push(tokio::spawn(call.into_future()));
    }
    let results = tokio::time::timeout(Duration::from_secs(90), calls.collect::<Vec<_>>());
    let results = results.await.expect("timeout after 90 s");
    let failed: Vec<_> = results
        .into_iter()
        .filter_map(|result| result.unwrap().err())
        .collect();
    assert!(
        failed.is_empty(),
        "{} failed, first: {}",
        failed.len(),
        failed[0]
    );

    // Without retries, the caller is not left to its timeout either.
    let died = eventually(|| async {
        let call = test
            .mesh
            .call::<u64>("next", 1)
            .timeout(Duration::from_secs(60));
        within(call).await.err()
    });
    let died = died.await;
    assert_eq!(died.code(), &ErrorCode::AgentDied, "{died}");
    assert_eq!(died.details()["instance_id"], id);
    frozen.signal("CONT");
    let serves = || async {
        let instances = test.mesh.instances().await.ok()?;
        instances
            .iter()
            .any(|instance| instance.id.as_str() == id)
            .then_some(())
    };
    eventually(serves).await;
}
