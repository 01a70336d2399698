//! Real processes: many that register at once, one that is told to stop.

use crate::support::role::role;
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{TestMesh, eventually, within};
use futures::StreamExt;
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

const PROCESSES: usize = 20;
const AGENTS: usize = 50;
const READY: &str = "heeding signals";

/// A process of its own: this test binary, running one of the ignored functions below.
fn spawn(name: &str, url: &str, index: usize) -> Child {
    role(name)
        .env("OAM_URL", url)
        .env("OAM_TEST_INDEX", index.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the process heeds signals.
async fn heeds_signals(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while within(lines.next_line())
        .await
        .unwrap()
        .expect("the process ended")
        != READY
    {}
    // Nobody reads any further: keep the pipe open, what the process still prints fits in it.
    child.stdout = Some(lines.into_inner().into_inner());
}

/// Runs, and says so once signals are heeded: `join!` polls in order.
async fn run(mesh: &AgentMesh) {
    let (ended, ()) = tokio::join!(mesh.run(), async { println!("{READY}") });
    ended.unwrap();
}

async fn connected_role() -> Option<(AgentMesh, String)> {
    let index = std::env::var("OAM_TEST_INDEX").ok()?;
    Some((AgentMesh::from_env().await.unwrap(), index))
}

#[tokio::test]
#[ignore = "a process of another test"]
async fn host_of_many() {
    let Some((mesh, index)) = connected_role().await else {
        return;
    };
    let agents = (0..AGENTS).map(|agent| {
        let spec = AgentSpec::new(format!("host-{index}.agent-{agent}"), "One of very many.");
        spec.handler(|| async { true })
    });
    mesh.register(agents.collect::<Vec<_>>()).await.unwrap();
    run(&mesh).await;
}

#[tokio::test]
#[ignore = "a process of another test"]
async fn slow_host() {
    let Some((mesh, _)) = connected_role().await else {
        return;
    };
    let spec = AgentSpec::new("slow", "Answers after a while.");
    let slow = spec.handler(|millis: u64| async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        "finished"
    });
    mesh.register(slow).await.unwrap();
    run(&mesh).await;
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill")
        .args([signal, &pid])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_is_lost_when_many_processes_register_at_once() {
    let test = TestMesh::start().await;
    let mut hosts: Vec<_> = (0..PROCESSES)
        .map(|index| spawn("lifecycle::host_of_many", test.server.url(), index))
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
    assert_eq!(catalog.len(), PROCESSES * AGENTS, "none is there twice");
    assert_eq!(names.len(), PROCESSES * AGENTS);
    for name in names {
        assert!(within(test.mesh.call::<bool>(name, ())).await.unwrap());
    }

    for host in &mut hosts {
        heeds_signals(host).await;
    }
    // They leave at the same moment too, and nothing stays behind.
    for host in &hosts {
        signal(host, "-TERM");
    }
    for host in &mut hosts {
        assert!(within(host.wait()).await.unwrap().success());
    }
    assert!(test.mesh.catalog().fresh().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_is_told_to_stop_finishes_what_it_took_and_leaves() {
    for stop in ["-TERM", "-INT"] {
        let test = TestMesh::start().await;
        let mut host = spawn("lifecycle::slow_host", test.server.url(), 0);
        heeds_signals(&mut host).await;
        let caller = test.mesh.clone();
        let running = tokio::spawn(async move { caller.call::<String>("slow", 500).await });
        // The request is with the host once a later one has been answered.
        test.mesh.call::<Value>("slow", 0).await.unwrap();
        signal(&host, stop);
        assert_eq!(within(running).await.unwrap().unwrap(), "finished");
        assert!(within(host.wait()).await.unwrap().success());
        assert!(test.mesh.catalog().fresh().await.unwrap().is_empty());
        let error = test.mesh.call::<Value>("slow", 0).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::NotFound);
    }
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_is_told_so() {
    let test = TestMesh::start().await;
    let host = AgentMesh::builder()
        .url(test.server.url())
        .shutdown_grace(Duration::from_millis(50))
        .connect()
        .await
        .unwrap();
    let entered = std::sync::Arc::new(tokio::sync::Notify::new());
    let signal = entered.clone();
    let stuck = AgentSpec::new("stuck", "Never answers.").handler(move || {
        signal.notify_one();
        std::future::pending::<u32>()
    });
    host.register(stuck).await.unwrap();
    let caller = test.mesh.clone();
    let call = tokio::spawn(async move { caller.call::<u32>("stuck", ()).await });
    entered.notified().await;
    // As published SDKs ask whose callback waits.
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
    assert!(error.message().contains("shut down"), "{error}");
    let result = within(results.next()).await.unwrap();
    let error: Value = serde_json::from_slice(&result.payload).unwrap();
    assert_eq!(error["code"], "not_available");
}

#[tokio::test]
async fn shutting_down_twice_is_fine_and_calls_fail_afterwards() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    host.register(crate::support::echo()).await.unwrap();
    host.shutdown().await.unwrap();
    within(host.shutdown()).await.unwrap();
    let error = within(host.call::<Value>("echo", "x")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed);
}
