//! Calls, repairs and readers, for each hostile catalog.

use std::time::Instant;

use openagentmesh::AgentMesh;

use super::{Change, apply, cases, echo_host, is_repaired, others};
use crate::support::{TestMesh, eventually, within};

/// Uses every verb.
async fn use_agents(mesh: &AgentMesh, case: &str) {
    let reply = within(mesh.call::<String>("echo", "x")).await;
    assert_eq!(
        reply.unwrap_or_else(|error| panic!("{case}: call: {error}")),
        "Echo: x"
    );
    let reply = within(mesh.send("echo", "x").reply::<String>()).await;
    let reply = reply.unwrap_or_else(|error| panic!("{case}: send: {error}"));
    assert_eq!(within(reply).await.unwrap(), "Echo: x", "{case}");
    let words = within(mesh.stream::<String>("words", "w")).await;
    let mut words = words.unwrap_or_else(|error| panic!("{case}: stream: {error}"));
    let first = within(words.next()).await.unwrap();
    assert_eq!(
        first.unwrap_or_else(|error| panic!("{case}: chunk: {error}")),
        "w"
    );
    // A publisher that neither catalog nor registry has is not found until its host has listed it again.
    let mut events = eventually(|| async { mesh.subscribe::<u32>("tick").await.ok() }).await;
    within(events.next()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_catalog_costs_no_call_and_is_repaired() {
    let test = TestMesh::start().await;
    test.mesh.register(echo_host()).await.unwrap();
    let second = test.peer().await;
    second.register(others()).await.unwrap();
    let (caller, raw) = (test.peer().await, test.raw().await);
    eventually(|| async { is_repaired(&caller).await.then_some(()) }).await;

    for case in cases::all() {
        let name = case.name;
        let started = Instant::now();
        apply(&raw, &case.change).await;
        use_agents(&caller, name).await;
        if case.is_malformed {
            for agent in ["echo", "words", "tick"] {
                let listed = caller.catalog().channel(agent).await.unwrap();
                assert_eq!(listed.len(), 1, "{name}: {agent}");
            }
        }
        let newcomer = test.peer().await;
        use_agents(&newcomer, name).await;
        eventually(|| async { is_repaired(&newcomer).await.then_some(()) }).await;
        println!("{name}: repaired after {:?}", started.elapsed());
        eventually(|| async { is_repaired(&caller).await.then_some(()) }).await;
        newcomer.shutdown().await.unwrap();
        // Large elements that are not listed would slow down the cases that follow.
        apply(&raw, &Change::Catalog("[]".into())).await;
        eventually(|| async { is_repaired(&caller).await.then_some(()) }).await;
    }
}
