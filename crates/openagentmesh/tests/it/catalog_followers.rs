//! What following the catalog moves: headers while nobody asks, and few reads when somebody does.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{TestMesh, echo, eventually, subscribed, synchronize, within};
use async_nats::jetstream::{self, kv::Store};
use futures::FutureExt;
use futures::future::join_all;
use openagentmesh::{Agent, AgentMesh, AgentSpec, CatalogChange, ErrorCode};
use openagentmesh_local::LocalServer;
use serde_json::{Value, json};

const CROWD: usize = 5000;
const KIB: u64 = 1024;
const READS: &str = "$JS.API.*.MSG.GET.KV_mesh-catalog";

fn agent_called(name: &str) -> Agent {
    AgentSpec::new(name, format!("Is called {name}.")).handler(|text: String| async move { text })
}

async fn store(test: &TestMesh, bucket: &str) -> Store {
    let jetstream = jetstream::new(test.raw().await);
    jetstream.get_key_value(bucket).await.unwrap()
}

/// A catalog of `count` agents whose names begin with `prefix`.
fn crowd(prefix: &str, count: usize) -> Vec<u8> {
    let entries: Vec<Value> = (0..count)
        .map(|n| {
            // Every tenth has a tag.
            let tags: &[&str] = if n % 10 == 0 { &["tenth"] } else { &[] };
            json!({"name": format!("{prefix}.agent{n}"), "description": "One of many agents.",
                "version": "1.0.0", "tags": tags, "invocable": true, "streaming": false})
        })
        .collect();
    serde_json::to_vec(&entries).unwrap()
}

/// A mesh whose catalog has [`CROWD`] agents.
async fn crowded() -> TestMesh {
    let test = TestMesh::start().await;
    test.mesh.create_buckets().await.unwrap();
    let catalog = store(&test, "mesh-catalog").await;
    let crowd = crowd("crowd", CROWD);
    catalog.put("catalog", crowd.into()).await.unwrap();
    test
}

/// A process whose client counts what it receives.
async fn counted(test: &TestMesh) -> (AgentMesh, async_nats::Client) {
    let client = test.raw().await;
    let builder = AgentMesh::builder().nats_client(client.clone());
    (builder.connect().await.unwrap(), client)
}

fn received(client: &async_nats::Client) -> (u64, u64) {
    let statistics = client.statistics();
    let messages = statistics.in_messages.load(Ordering::Relaxed);
    let bytes = statistics.in_bytes.load(Ordering::Relaxed);
    (messages, bytes)
}

/// The number of messages received by now.
async fn drained(raw: &async_nats::Client, messages: &mut async_nats::Subscriber) -> usize {
    use futures::StreamExt;
    synchronize(raw).await;
    let mut count = 0;
    while messages.next().now_or_never().flatten().is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn registration_beside_thousands_sends_each_follower_its_header_alone() {
    const REGISTRATIONS: u64 = 10;
    let test = crowded().await;
    let (caller, of_caller) = counted(&test).await;
    let (host, of_host) = counted(&test).await;
    let other = test.peer().await;
    // The first host is the monitor, which reads the whole catalog from time to time.
    other.register(agent_called("first")).await.unwrap();
    host.register(echo()).await.unwrap();
    for mesh in [&caller, &host] {
        let known = || async { (mesh.catalog().await.unwrap().len() == CROWD + 2).then_some(()) };
        eventually(known).await;
    }
    let before = [received(&of_caller), received(&of_host)];
    for number in 0..REGISTRATIONS {
        let name = format!("late{number}");
        other.register(agent_called(&name)).await.unwrap();
    }
    eventually(|| async {
        let have_heard = received(&of_caller).0 >= before[0].0 + REGISTRATIONS
            && received(&of_host).0 >= before[1].0 + REGISTRATIONS;
        have_heard.then_some(())
    })
    .await;
    let bytes = received(&of_caller).1 - before[0].1;
    assert!(
        bytes <= REGISTRATIONS * KIB,
        "a caller received {bytes} bytes"
    );
    // A host also reads the states of its buckets every two seconds.
    let bytes = received(&of_host).1 - before[1].1;
    assert!(
        bytes <= 10 * REGISTRATIONS * KIB,
        "a host received {bytes} bytes"
    );
    // Who asks has every registration, by one read.
    let last = format!("late{}", REGISTRATIONS - 1);
    eventually(|| async {
        let names = caller.catalog().channel(&last).await.unwrap();
        (!names.is_empty()).then_some(())
    })
    .await;
    let bytes = received(&of_caller).1 - before[0].1;
    assert!(bytes > 500 * KIB, "the catalog was read: {bytes} bytes");
}

#[tokio::test]
async fn concurrent_queries_share_one_read() {
    let test = crowded().await;
    let peer = test.peer().await;
    assert_eq!(peer.catalog().await.unwrap().len(), CROWD);
    let catalog = store(&test, "mesh-catalog").await;
    let raw = test.raw().await;
    let mut reads = subscribed(&raw, READS).await;
    let next = crowd("next", 3).into();
    catalog.put("catalog", next).await.unwrap();
    eventually(|| async {
        let asked = join_all((0..50).map(|_| peer.catalog().into_future())).await;
        let is_new = asked.into_iter().all(|found| found.unwrap().len() == 3);
        is_new.then_some(())
    })
    .await;
    assert_eq!(drained(&raw, &mut reads).await, 1);
}

#[tokio::test]
async fn watch_reaches_the_last_state_with_few_reads() {
    let test = crowded().await;
    let peer = test.peer().await;
    let mut changes = peer.catalog().channel("burst").watch();
    let catalog = store(&test, "mesh-catalog").await;
    let raw = test.raw().await;
    let mut reads = subscribed(&raw, READS).await;
    let started = Instant::now();
    for round in 0..3 {
        for count in 1..=50 {
            let next = crowd(&format!("burst.r{round}"), count);
            catalog.put("catalog", next.into()).await.unwrap();
        }
        let last = format!("burst.r{round}.agent49");
        let seen = async {
            loop {
                let change = changes.next().await.unwrap();
                if matches!(&change, CatalogChange::Added(entry) if entry.name == last) {
                    return;
                }
            }
        };
        within(seen).await;
    }
    let allowed = started.elapsed().as_millis() / 250 + 3;
    let reads = drained(&raw, &mut reads).await;
    assert!(
        reads as u128 <= allowed && reads >= 3,
        "{reads} reads, {allowed} allowed"
    );
}

#[tokio::test]
async fn wait_reads_after_writes_of_its_agent_alone() {
    let test = crowded().await;
    let (peer, client) = counted(&test).await;
    assert_eq!(peer.catalog().await.unwrap().len(), CROWD);
    let waiting = tokio::spawn(peer.wait_for("wanted").into_future());
    let other = test.peer().await;
    let before = received(&client);
    for number in 0..10 {
        let name = format!("other{number}");
        other.register(agent_called(&name)).await.unwrap();
    }
    eventually(|| async { (received(&client).0 >= before.0 + 10).then_some(()) }).await;
    let bytes = received(&client).1 - before.1;
    assert!(bytes < 20 * KIB && !waiting.is_finished(), "{bytes} bytes");
    other.register(agent_called("wanted")).await.unwrap();
    assert_eq!(within(waiting).await.unwrap().unwrap().name, "wanted");
}

#[tokio::test]
async fn query_after_a_malformed_value_and_a_deletion_has_the_stored_state() {
    let test = crowded().await;
    let peer = test.peer().await;
    assert_eq!(peer.catalog().await.unwrap().len(), CROWD);
    let catalog = store(&test, "mesh-catalog").await;
    catalog.put("catalog", "not json".into()).await.unwrap();
    eventually(|| async { peer.catalog().problem().await.unwrap() }).await;
    assert_eq!(
        peer.catalog().await.unwrap().len(),
        CROWD,
        "the last valid one"
    );
    assert!(peer.catalog().fresh().await.is_err());
    catalog
        .put("catalog", crowd("new", 2).into())
        .await
        .unwrap();
    eventually(|| async {
        let problem = peer.catalog().problem().await.unwrap();
        problem.is_none().then_some(())
    })
    .await;
    assert_eq!(peer.catalog().await.unwrap().len(), 2);
    catalog.delete("catalog").await.unwrap();
    eventually(|| async { peer.catalog().await.unwrap().is_empty().then_some(()) }).await;
    // A host registers into the deleted key.
    test.mesh.register(echo()).await.unwrap();
    eventually(|| async { (peer.catalog().await.unwrap().len() == 1).then_some(()) }).await;
}

#[tokio::test]
async fn new_agent_is_checked_before_the_request_and_a_changed_one_again() {
    let test = crowded().await;
    let peer = test.peer().await;
    assert_eq!(peer.catalog().await.unwrap().len(), CROWD);
    let publisher = AgentSpec::new("news", "Publishes.").handler(futures::stream::pending::<u32>);
    test.mesh.register(publisher).await.unwrap();
    eventually(|| async {
        let sent = peer.send("news", "x").await;
        sent.is_err_and(|error| error.code() == &ErrorCode::InvocationMismatch)
            .then_some(())
    })
    .await;
    // Another host makes a responder of it, which the peer does not read before it calls.
    let other = test.peer().await;
    test.mesh.deregister(["news"]).await.unwrap();
    other.register(agent_called("news")).await.unwrap();
    assert_eq!(within(peer.call::<String>("news", "x")).await.unwrap(), "x");
}

/// A bucket that allows no consumer is followed by its state.
#[tokio::test]
async fn watch_without_a_free_consumer_sees_changes_and_a_recreated_bucket() {
    let server = LocalServer::start().await.unwrap();
    let raw = async_nats::connect(server.url()).await.unwrap();
    let jetstream = jetstream::new(raw);
    let config = jetstream::stream::Config {
        name: "KV_mesh-catalog".to_owned(),
        subjects: vec!["$KV.mesh-catalog.>".into()],
        max_messages_per_subject: 1,
        max_consumers: 1,
        allow_rollup: true,
        ..Default::default()
    };
    let only = jetstream::consumer::pull::Config::default();
    let create = async || {
        let stream = jetstream.create_stream(config.clone()).await.unwrap();
        stream.create_consumer(only.clone()).await.unwrap();
    };
    create().await;
    let peer = AgentMesh::connect(server.url()).await.unwrap();
    let mut changes = peer.catalog().watch();
    let write = async |names: &str| {
        let value = crowd(names, 1);
        let acknowledged = jetstream.publish("$KV.mesh-catalog.catalog", value.into());
        acknowledged.await.unwrap().await.unwrap();
    };
    for name in ["a", "b"] {
        write(name).await;
        let change = within(changes.next()).await.unwrap();
        assert!(
            matches!(&change, CatalogChange::Added(entry) if entry.name == format!("{name}.agent0"))
        );
        if name == "b" {
            let change = within(changes.next()).await.unwrap();
            assert!(matches!(change, CatalogChange::Removed(_)));
        }
    }
    jetstream.delete_stream("KV_mesh-catalog").await.unwrap();
    create().await;
    write("c").await;
    let change = within(changes.next()).await.unwrap();
    assert!(
        matches!(&change, CatalogChange::Added(entry) if entry.name == "c.agent0"),
        "{change:?}"
    );
}

fn contract(name: &str) -> Vec<u8> {
    let text = "Some of the words that a description has. ".repeat(8);
    let document = json!({
        "name": name, "description": text, "version": "1.0.0",
        "capabilities": {"streaming": false, "invocable": true},
        "skills": [{"id": name, "name": name, "description": text, "tags": [],
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string", "description": text}}},
            "outputSchema": {"type": "string"}}],
        "x-agentmesh": {"subject": format!("mesh.agent.{name}"), "tags": []},
    });
    serde_json::to_vec(&document).unwrap()
}

/// Writes the contracts of the first `count` agents of the crowd.
async fn write_contracts(test: &TestMesh, count: usize) {
    let jetstream = jetstream::new(test.raw().await);
    for first in (0..count).step_by(250) {
        let written = (first..count.min(first + 250)).map(|n| {
            let name = format!("crowd.agent{n}");
            let jetstream = jetstream.clone();
            async move {
                let subject = format!("$KV.mesh-registry.{name}");
                let written = jetstream.publish(subject, contract(&name).into()).await;
                written.unwrap().await.unwrap();
            }
        });
        join_all(written).await;
    }
}

#[tokio::test]
async fn contracts_of_thousands_come_in_few_requests() {
    let test = crowded().await;
    write_contracts(&test, CROWD).await;
    let registry = store(&test, "mesh-registry").await;
    registry
        .put("crowd.agent7", "not json".into())
        .await
        .unwrap();
    registry.delete("crowd.agent8").await.unwrap();
    let peer = test.peer().await;
    let raw = test.raw().await;
    let mut requests = subscribed(&raw, "$JS.API.*.*.KV_mesh-registry.>").await;
    let mut reads = subscribed(&raw, "$JS.API.*.MSG.GET.KV_mesh-registry").await;
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let discovering = peer
        .discover()
        .on_progress(move |done, total| seen.lock().unwrap().push((done, total)));
    let contracts = within(discovering).await.unwrap();
    assert_eq!(contracts.len(), CROWD - 2);
    let names: Vec<&str> = contracts
        .iter()
        .map(|contract| contract.name.as_str())
        .collect();
    assert_eq!(
        names[6..8],
        ["crowd.agent6", "crowd.agent9"],
        "in the order of the catalog"
    );
    assert_eq!(
        *steps.lock().unwrap(),
        (1..=CROWD).map(|done| (done, CROWD)).collect::<Vec<_>>()
    );
    let requests = drained(&raw, &mut requests).await + drained(&raw, &mut reads).await;
    assert!(requests < 10, "{requests} requests");

    let some = peer.discover().tag("tenth").channel("crowd.agent10");
    assert_eq!(within(some).await.unwrap().len(), 1);
    // Few of many are asked for one by one.
    assert_eq!(drained(&raw, &mut reads).await, 1);
}

/// The figures of ADR 28: `cargo test -p openagentmesh --test it -- --ignored --nocapture catalog_followers::measure`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure() {
    let test = crowded().await;
    write_contracts(&test, CROWD).await;
    let (peer, client) = counted(&test).await;
    peer.catalog().await.unwrap();
    let other = test.peer().await;
    other.register(agent_called("first")).await.unwrap();
    peer.catalog().fresh().await.unwrap();
    for number in 0..3 {
        let before = received(&client);
        other
            .register(agent_called(&format!("late{number}")))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        println!(
            "one registration beside {CROWD}: {} bytes",
            received(&client).1 - before.1
        );
        let (before, started) = (received(&client), Instant::now());
        peer.catalog().channel("nosuch").await.unwrap();
        let bytes = received(&client).1 - before.1;
        println!("the query after it: {bytes} bytes, {:?}", started.elapsed());
    }
    for _ in 0..3 {
        for (what, query) in [
            ("all", peer.discover()),
            ("a tenth", peer.discover().tag("tenth")),
        ] {
            let (before, started) = (received(&client), Instant::now());
            let count = query.await.unwrap().len();
            let (messages, bytes) = received(&client);
            println!(
                "discover {what}: {count} contracts in {:?}, {} messages, {} bytes",
                started.elapsed(),
                messages - before.0,
                bytes - before.1
            );
        }
    }
}
