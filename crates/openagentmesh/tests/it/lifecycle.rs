//! The shutdown of hosts.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{TestMesh, eventually, within};
use async_nats::HeaderMap;
use futures::StreamExt;
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};
use serde_json::Value;
use tokio::sync::Notify;

#[tokio::test]
async fn request_beyond_the_shutdown_grace_is_not_available() {
    let test = TestMesh::start().await;
    let host = AgentMesh::builder()
        .url(test.server.url())
        .shutdown_grace(Duration::from_millis(50))
        .connect()
        .await
        .unwrap();
    let entered = Arc::new(Notify::new());
    let signal = entered.clone();
    let stuck = AgentSpec::new("stuck", "Never answers.").handler(move || {
        signal.notify_one();
        std::future::pending::<u32>()
    });
    host.register(stuck).await.unwrap();
    let caller = test.mesh.clone();
    let call = tokio::spawn(async move { caller.call::<u32>("stuck", ()).await });
    entered.notified().await;
    // The published SDKs send such a request for a callback.
    let raw = test.raw().await;
    let result = "mesh.results.0123456789abcdef0123456789abcdef";
    let mut results = crate::support::subscribed(&raw, result).await;
    raw.publish_with_reply("mesh.agent.stuck", result, "".into())
        .await
        .unwrap();
    entered.notified().await;
    within(host.shutdown()).await.unwrap();
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotAvailable);
    assert_eq!(error.agent(), Some("stuck"), "{error}");
    let result = within(results.next()).await.unwrap();
    let error: Value = serde_json::from_slice(&result.payload).unwrap();
    assert_eq!(error["code"], "not_available");
}

#[tokio::test]
async fn second_shutdown_succeeds_and_calls_fail_afterwards() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    host.register(crate::support::echo()).await.unwrap();
    host.shutdown().await.unwrap();
    within(host.shutdown()).await.unwrap();
    let error = within(host.call::<Value>("echo", "x")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed);
}

/// A second shutdown, or one during a deregistration, does not cut off the first.
#[tokio::test]
async fn shutdown_waits_for_agents_that_are_already_leaving() {
    for shuts_down in [true, false] {
        let test = TestMesh::start().await;
        let host = test.peer().await;
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (enters, released) = (entered.clone(), release.clone());
        let gate = AgentSpec::new("gate", "Answers when it is released.").handler(move || {
            let (enters, released) = (enters.clone(), released.clone());
            async move {
                enters.notify_one();
                released.notified().await;
                "finished"
            }
        });
        host.register(gate).await.unwrap();
        let caller = test.mesh.clone();
        let call = tokio::spawn(async move { caller.call::<String>("gate", ()).await });
        within(entered.notified()).await;

        let first = host.clone();
        let first = tokio::spawn(async move {
            if shuts_down {
                first.shutdown().await
            } else {
                first.deregister(["gate"]).await
            }
        });
        let raw = test.raw().await;
        // Malformed: an agent that has not left yet refuses it at once.
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Timeout-Ms", "-1");
        eventually(|| async {
            let request = raw.request_with_headers("mesh.agent.gate", headers.clone(), "".into());
            request.await.err()
        })
        .await;
        let second = host.clone();
        let mut second = tokio::spawn(async move { second.shutdown().await });
        // A shutdown that waits for nothing is over in this time.
        let early = tokio::time::timeout(Duration::from_millis(500), &mut second).await;
        assert!(early.is_err(), "the shutdown has not waited");
        release.notify_one();
        assert_eq!(within(call).await.unwrap().unwrap(), "finished");
        within(first).await.unwrap().unwrap();
        within(second).await.unwrap().unwrap();
        assert!(test.mesh.catalog().fresh().await.unwrap().is_empty());
    }
}
