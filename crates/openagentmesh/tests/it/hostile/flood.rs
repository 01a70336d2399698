//! A flood of malformed messages: the host goes on serving, and gives back what they took.
//!
//! `OAM_FLOOD_DIVISOR` divides the number of messages of each kind, for a shorter run.

use std::time::{Duration, Instant};

use super::kinds::{KINDS, Kind};
use super::process::HostProcess;
use super::socket::Socket;
use crate::support::{PlainServer, eventually, within};
use openagentmesh::AgentMesh;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Bytes after which the flood waits until the host has taken them: the server would close the connection of a
/// host that lags by 64 MiB.
const MAX_BYTES_AHEAD: usize = 4 * 1024 * 1024;

/// Messages after which the flood waits for the host, so that the agents are not overloaded.
const MAX_MESSAGES_AHEAD: u64 = 400;

/// The p99 that is assumed at least for a mesh without a flood: a shared machine delays single calls.
const MIN_P99: Duration = Duration::from_millis(250);

/// The time in which the slow requests of the flood end: each takes 10 s, and 1,024 run at once.
const SLOW_TIMEOUT: Duration = Duration::from_secs(90);

/// MiB by which the memory of the host may differ from before. About 4,000 requests are in flight at some time; the
/// allocator keeps 50 to 90 MiB of what they take in the debug profile, and no more after further floods.
const MAX_GROWTH_MIB: u64 = 128;

fn divisor() -> u64 {
    match std::env::var("OAM_FLOOD_DIVISOR") {
        Ok(divisor) => divisor.parse().expect("OAM_FLOOD_DIVISOR is not a number"),
        Err(_) => 1,
    }
}

/// Calls `echo` every few milliseconds until `stop`; returns the durations, sorted.
async fn call(mesh: AgentMesh, stop: CancellationToken) -> Vec<Duration> {
    let mut durations = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let started = Instant::now();
        let text = durations.len().to_string();
        let reply = mesh.call::<String>("echo", &text).await.unwrap();
        assert_eq!(reply, text);
        durations.push(started.elapsed());
    }
    durations.sort_unstable();
    durations
}

/// The duration that the share `percent` of all is within.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

async fn send(socket: &mut Socket, kind: &Kind, mesh: &AgentMesh) {
    let (mut bytes, mut messages) = (0, 0);
    for number in 0..(kind.count / divisor()).max(1) {
        let message = (kind.message)(number);
        bytes += message.length();
        messages += 1;
        socket.write(&message).await;
        if bytes > MAX_BYTES_AHEAD || messages > MAX_MESSAGES_AHEAD {
            (bytes, messages) = (0, 0);
            socket.synchronize().await;
            // The host has read all messages before this one.
            mesh.call::<String>("echo", "").await.unwrap();
        }
    }
    socket.synchronize().await;
    mesh.call::<String>("echo", "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_malformed_messages_leaves_other_callers_served() {
    assert_eq!(KINDS.len(), 34);
    assert_eq!(KINDS.iter().map(|kind| kind.count).sum::<u64>(), 133_500);

    let storage = tempfile::tempdir().unwrap();
    let server = PlainServer::start(Some(storage.path())).await;
    let (mesh, caller) = (server.connect().await, server.connect().await);
    let host = HostProcess::start(&server.url()).await;
    let quiet = CancellationToken::new();
    let calling = tokio::spawn(call(caller.clone(), quiet.clone()));
    for _ in 0..1_000 {
        mesh.call::<String>("echo", "a").await.unwrap();
    }
    quiet.cancel();
    let before = calling.await.unwrap();
    let memory_before = host.memory_mib();
    let subscriptions_before = subscriptions(&server).await;

    let flooded = CancellationToken::new();
    let calling = tokio::spawn(call(caller, flooded.clone()));
    let mut socket = Socket::connect(&server.url()).await;
    for kind in KINDS {
        let started = Instant::now();
        send(&mut socket, kind, &mesh).await;
        println!(
            "{}: {:?}, {} MiB",
            kind.name,
            started.elapsed(),
            host.memory_mib()
        );
    }
    flooded.cancel();
    let during = calling.await.unwrap();
    println!(
        "p50 {:?} before, {:?} during; p99 {:?} before, {:?} during",
        percentile(&before, 50),
        percentile(&during, 50),
        percentile(&before, 99),
        percentile(&during, 99)
    );
    assert!(
        percentile(&during, 99) <= 3 * percentile(&before, 99).max(MIN_P99),
        "p99 {:?} before, {:?} during the flood",
        percentile(&before, 99),
        percentile(&during, 99)
    );
    host.memory_returns(memory_before + MAX_GROWTH_MIB, "flood")
        .await;
    eventually(|| async { (subscriptions(&server).await <= subscriptions_before).then_some(()) })
        .await;
    let slow = async {
        // Refused until the slow requests of the flood have ended.
        while mesh.call::<()>("slow", ()).await.is_err() {}
    };
    let served = tokio::time::timeout(SLOW_TIMEOUT, slow).await;
    served.expect("requests of the flood have not ended");
    let errors = host.end().await;
    assert!(!errors.contains("panicked"), "{errors}");
}

/// The number of subscriptions of all clients.
async fn subscriptions(server: &PlainServer) -> u64 {
    let mut monitor = TcpStream::connect(("127.0.0.1", server.monitor_port))
        .await
        .unwrap();
    let request = "GET /varz HTTP/1.0\r\n\r\n";
    monitor.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(monitor.read_to_string(&mut answer)).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let state: serde_json::Value = serde_json::from_str(body).unwrap();
    state["subscriptions"].as_u64().unwrap()
}
