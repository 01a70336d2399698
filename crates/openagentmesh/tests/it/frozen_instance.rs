//! A frozen process counts as dead until it goes on.

use std::time::{Duration, Instant};

use crate::instances::{is_eventually, named, other_instance, spawn_host};
use crate::support::peer::signal;
use crate::support::{TestMesh, subscribed, within};
use futures::StreamExt;
use openagentmesh::{ErrorCode, InstanceState};

#[tokio::test]
async fn frozen_host_is_removed_and_comes_back() {
    let test = TestMesh::start().await;
    test.mesh.register(named("other")).await.unwrap();
    let host = spawn_host(test.server.url()).await;
    let mut replies = subscribed(&test.raw().await, "_INBOX.>").await;
    let call = test
        .mesh
        .call::<bool>("sleeper", ())
        .timeout(Duration::from_secs(60));
    let call = tokio::spawn(call.into_future());
    let is_probe = |message: &async_nats::Message| {
        let headers = message.headers.as_ref();
        headers.is_some_and(|headers| headers.get("X-Mesh-Probe").is_some())
    };
    while !is_probe(&within(replies.next()).await.unwrap()) {}
    signal(&host, "-STOP");
    let started = Instant::now();
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
    println!("SIGSTOP: caller knows after {:?}", started.elapsed());
    is_eventually(&test.mesh, false, "SIGSTOP").await;
    signal(&host, "-CONT");
    is_eventually(&test.mesh, true, "SIGCONT").await;
    assert!(within(test.mesh.call::<bool>("victim", ())).await.unwrap());
    let state = other_instance(&test.mesh).await.state;
    assert_eq!(state, Some(InstanceState::Serving));
}
