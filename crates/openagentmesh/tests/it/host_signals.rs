//! Host processes: concurrent registration, and signals.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::support::peer::signal;
use crate::support::role::{is_role, role};
use crate::support::{TestMesh, eventually, within};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::sync::Notify;

const PROCESSES: usize = 20;
const AGENTS: usize = 50;
const READY: &str = "ready for signals";

/// Starts the role `name`, which connects to `url`.
fn spawn(name: &str, url: &str, index: usize) -> Child {
    role(name)
        .env("OAM_URL", url)
        .env("OAM_TEST_INDEX", index.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the process handles signals.
async fn handles_signals(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while within(lines.next_line())
        .await
        .unwrap()
        .expect("the process ended")
        != READY
    {}
    // The pipe stays open without a reader, because the remaining output fits in it.
    child.stdout = Some(lines.into_inner().into_inner());
}

/// Runs the mesh, and prints `READY` once it handles signals: `join!` polls in order.
async fn run(mesh: &AgentMesh) {
    let (ended, ()) = tokio::join!(mesh.run(), async { println!("{READY}") });
    ended.unwrap();
}

async fn connected_role() -> Option<(AgentMesh, String)> {
    if !is_role() {
        return None;
    }
    let index = std::env::var("OAM_TEST_INDEX").unwrap();
    Some((AgentMesh::from_env().await.unwrap(), index))
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn host_of_many() {
    let Some((mesh, index)) = connected_role().await else {
        return;
    };
    let agents = (0..AGENTS).map(|agent| {
        let spec = AgentSpec::new(format!("host-{index}.agent-{agent}"), "One of many agents.");
        spec.handler(|| async { true })
    });
    mesh.register(agents.collect::<Vec<_>>()).await.unwrap();
    run(&mesh).await;
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn slow_host() {
    let Some((mesh, _)) = connected_role().await else {
        return;
    };
    let release = Arc::new(Notify::new());
    let released = release.clone();
    let spec = AgentSpec::new("slow", "Answers at once, or when it is released.");
    let slow = spec.handler(move |is_held: bool| {
        let released = released.clone();
        async move {
            if is_held {
                released.notified().await;
            }
            "finished"
        }
    });
    mesh.register(slow).await.unwrap();
    let releasing = async {
        let mut line = String::new();
        let mut stdin = BufReader::new(tokio::io::stdin());
        stdin.read_line(&mut line).await.unwrap();
        release.notify_one();
    };
    tokio::join!(run(&mesh), releasing);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_registrations_of_many_processes_lose_no_entry() {
    let test = TestMesh::start().await;
    let mut hosts: Vec<_> = (0..PROCESSES)
        .map(|index| spawn("host_signals::host_of_many", test.server.url(), index))
        .collect();
    let catalog = tokio::time::timeout(
        Duration::from_secs(60),
        eventually(|| async {
            let catalog = test.mesh.catalog().fresh().await.unwrap();
            (catalog.len() >= PROCESSES * AGENTS).then_some(catalog)
        }),
    )
    .await
    .unwrap();
    let names: BTreeSet<_> = catalog.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(catalog.len(), PROCESSES * AGENTS, "no duplicates");
    assert_eq!(names.len(), PROCESSES * AGENTS);
    for name in names {
        assert!(within(test.mesh.call::<bool>(name, ())).await.unwrap());
    }

    for host in &mut hosts {
        handles_signals(host).await;
    }
    // All hosts leave at once, and no entry stays.
    for host in &hosts {
        signal(host, "-TERM");
    }
    for host in &mut hosts {
        assert!(within(host.wait()).await.unwrap().success());
    }
    assert!(test.mesh.catalog().fresh().await.unwrap().is_empty());
}

#[tokio::test]
async fn signalled_host_finishes_its_requests_and_leaves() {
    for stop in ["-TERM", "-INT"] {
        let test = TestMesh::start().await;
        let mut host = spawn("host_signals::slow_host", test.server.url(), 0);
        handles_signals(&mut host).await;
        let caller = test.mesh.clone();
        let running = tokio::spawn(async move { caller.call::<String>("slow", true).await });
        // The host has received the request once a later one has been answered.
        test.mesh.call::<Value>("slow", false).await.unwrap();
        signal(&host, stop);
        // The host accepts no more requests once it has handled the signal.
        let raw = test.raw().await;
        let refused = || async { raw.request("mesh.agent.slow", "false".into()).await.err() };
        eventually(refused).await;
        assert!(!running.is_finished());
        let stdin = host.stdin.as_mut().unwrap();
        stdin.write_all(b"release\n").await.unwrap();
        assert_eq!(within(running).await.unwrap().unwrap(), "finished");
        assert!(within(host.wait()).await.unwrap().success());
        assert!(test.mesh.catalog().fresh().await.unwrap().is_empty());
        let error = test.mesh.call::<Value>("slow", false).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::NotFound);
    }
}
