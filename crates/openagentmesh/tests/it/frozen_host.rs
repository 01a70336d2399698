//! A host that was frozen begins nothing whose caller has given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::peer::Peer;
use crate::support::role::is_role;
use crate::support::{PlainServer, TestMesh, eventually, subscribed, within};
use futures::StreamExt;
use futures::future::join_all;
use openagentmesh::protocol::header;
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

const SHORT: Duration = Duration::from_millis(300);
/// Longer than a timer of the host may be late.
const FROZEN: Duration = Duration::from_millis(2500);

#[tokio::test]
#[ignore = "role process of another test"]
async fn host_to_be_frozen() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let started = Arc::new(AtomicU32::new(0));
    let agent = |name: &str, concurrency| {
        let started = Arc::clone(&started);
        AgentSpec::new(name, "Waits and counts its runs.")
            .concurrency(concurrency)
            .handler(move |milliseconds: u64| {
                let started = Arc::clone(&started);
                async move {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                    started.fetch_add(1, Ordering::SeqCst) + 1
                }
            })
    };
    mesh.register([agent("wide", 64), agent("narrow", 1)])
        .await
        .unwrap();
    println!("ready");
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = commands.next_line().await {
        println!("answer {}", started.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn frozen_host_starts_no_handler_whose_caller_has_given_up() {
    let test = TestMesh::start().await;
    let mut host = Peer::start("frozen_host::host_to_be_frozen", test.server.url());
    host.reads("ready").await;
    let warm = test.mesh.call::<u32>("wide", 0);
    assert_eq!(within(warm).await.unwrap(), 1);
    let raw = test.raw().await;
    let mut tap = subscribed(&raw, "mesh.agent.*").await;
    // Holds the only permit of its agent across the freeze.
    let holding = tokio::spawn(test.mesh.call::<u32>("narrow", 5000).into_future());
    within(tap.next()).await.unwrap();
    let queued = (0..20).map(|_| test.mesh.call::<u32>("narrow", 0).timeout(SHORT * 2));
    let queued: Vec<_> = queued
        .map(|call| tokio::spawn(call.into_future()))
        .collect();
    for _ in 0..20 {
        within(tap.next()).await.unwrap();
    }

    host.signal("STOP");
    let calls = (0..500).map(|_| {
        test.mesh
            .call::<u32>("wide", 0)
            .timeout(SHORT)
            .into_future()
    });
    let sends = (0..20).map(|_| {
        let send = test.mesh.send("wide", 0).timeout(SHORT).reply::<u32>();
        async { send.await?.await }
    });
    let (calls, sends) = within(async { tokio::join!(join_all(calls), join_all(sends)) }).await;
    for failed in calls.into_iter().chain(sends) {
        assert_eq!(failed.unwrap_err().code(), &ErrorCode::Timeout);
    }
    for queued in queued {
        let failed = within(queued).await.unwrap();
        assert_eq!(failed.unwrap_err().code(), &ErrorCode::Timeout);
    }
    let waiting =
        ["wide", "narrow"].map(|name| tokio::spawn(test.mesh.call::<u32>(name, 0).into_future()));
    tokio::time::sleep(FROZEN).await;
    host.signal("CONT");

    for waiting in waiting {
        within(waiting).await.unwrap().unwrap();
    }
    within(holding).await.unwrap().unwrap();
    // Those of "wide" before the freeze, the one that ran across it, and both that waited.
    assert_eq!(host.ask("count").await, "4");
    let next = within(test.mesh.call::<u32>("wide", 0)).await.unwrap();
    assert_eq!(next, 5);
}

/// Publishes a request as a caller that answers probes by hand. Returns its reply subject.
async fn ask_by_hand(raw: &async_nats::Client, agent: &str) -> async_nats::Subscriber {
    let reply = raw.new_inbox();
    let probes = subscribed(raw, &reply).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::REQUEST_ID, "0123456789abcdef0123456789abcdef");
    headers.insert(header::PROBE, "true");
    let subject = format!("mesh.agent.{agent}");
    raw.publish_with_reply_and_headers(subject, reply, headers, "0".into())
        .await
        .unwrap();
    raw.flush().await.unwrap();
    probes
}

#[tokio::test]
async fn frozen_host_asks_again_when_the_connection_is_lost_before_the_answer() {
    let storage = TempDir::new().unwrap();
    let mut server = PlainServer::start(Some(storage.path())).await;
    let mesh = server.connect().await;
    let mut host = Peer::start("frozen_host::host_to_be_frozen", &server.url());
    host.reads("ready").await;
    let raw = async_nats::connect(server.url()).await.unwrap();
    host.signal("STOP");
    let mut probes = ask_by_hand(&raw, "wide").await;
    tokio::time::sleep(FROZEN).await;
    host.signal("CONT");
    // The answer to this probe is lost with the server.
    let first = within(probes.next()).await.unwrap();
    assert!(first.headers.unwrap().get(header::PROBE).is_some());
    server.stop().await;
    server.start_again();
    let again = within(probes.next()).await.unwrap();
    let mut cancel = async_nats::HeaderMap::new();
    cancel.insert(header::CANCEL, "true");
    raw.publish_with_headers(again.reply.unwrap(), cancel, "".into())
        .await
        .unwrap();
    let next = eventually(|| async { mesh.call::<u32>("wide", 0).await.ok() });
    assert_eq!(next.await, 1);
    assert_eq!(host.ask("count").await, "1");
}
