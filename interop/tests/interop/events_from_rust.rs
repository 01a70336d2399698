//! Publishers in Rust, subscribers in Python.

use interop::{Peer, Sdk};
use openagentmesh::{AgentMesh, agents};
use serde_json::{Value, json};

use crate::common::{TestMesh, python_lists, take};
use crate::rust_agents::{Piece, noon};
use crate::taps::{self, publisher};

interop::with_each_sdk!(
    events_arrive_in_order_and_end_with_the_deregistration,
    events_end_when_the_host_shuts_down,
    events_end_when_the_publisher_ends,
    events_continue_after_a_failure,
    channel_events_are_those_of_its_publishers,
    subject_messages_are_received,
);

type Events = tokio::sync::mpsc::UnboundedSender<taps::Event>;

/// Starts a publisher in Rust with its own connection, and a subscriber in Python.
async fn subscribed(test: &TestMesh, sdk: Sdk) -> (AgentMesh, Events, Peer) {
    let host = test.rust_peer().await;
    let (agent, events) = publisher("news.local");
    host.register([agent]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    python_lists(&mut python, &["news.local"]).await;
    subscribe(&mut python, json!({"agent": "news.local"})).await;
    (host, events, python)
}

async fn subscribe(python: &mut Peer, mut source: Value) {
    source["key"] = json!("it");
    python.ask("open_events", source).await.unwrap();
}

fn emit(events: &Events, indices: std::ops::Range<i64>) {
    for index in indices {
        events.send(Ok(Piece::new(index, "news"))).unwrap();
    }
}

async fn get(python: &mut Peer, indices: std::ops::Range<i64>) {
    let count = indices.clone().count();
    let expected: Vec<_> = indices
        .map(|index| json!({"index": index, "text": "news"}))
        .collect();
    assert_eq!(take(python, "it", Some(count)).await.items, expected);
}

/// Checks that the subscription ends without more events and without an error.
async fn ended(python: &mut Peer) {
    let rest = take(python, "it", None).await;
    assert!(rest.ended && rest.items.is_empty(), "{rest:?}");
}

async fn events_arrive_in_order_and_end_with_the_deregistration(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (host, events, mut python) = subscribed(&test, sdk).await;
    emit(&events, 0..1000);
    get(&mut python, 0..1000).await;
    // The subscriber is waiting for the next event.
    emit(&events, 1000..1001);
    get(&mut python, 1000..1001).await;
    host.deregister(["news.local"]).await.unwrap();
    ended(&mut python).await;
    python.end().await.unwrap();
}

async fn events_end_when_the_host_shuts_down(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (host, events, mut python) = subscribed(&test, sdk).await;
    emit(&events, 0..1);
    get(&mut python, 0..1).await;
    host.shutdown().await.unwrap();
    ended(&mut python).await;
}

async fn events_end_when_the_publisher_ends(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (_host, events, mut python) = subscribed(&test, sdk).await;
    emit(&events, 0..3);
    drop(events);
    get(&mut python, 0..3).await;
    ended(&mut python).await;
}

async fn events_continue_after_a_failure(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (_host, events, mut python) = subscribed(&test, sdk).await;
    emit(&events, 0..3);
    events.send(Err("told to fail".to_owned())).unwrap();
    emit(&events, 3..6);
    get(&mut python, 0..6).await;
    drop(events);
    ended(&mut python).await;
}

async fn channel_events_are_those_of_its_publishers(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (local, local_events) = publisher("news.local");
    let (world, world_events) = publisher("news.world");
    let (other, other_events) = publisher("newsletter");
    test.mesh.register([local, world, other]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    subscribe(&mut python, json!({"channel": "news"})).await;

    emit(&other_events, 0..1);
    for index in 0..100 {
        emit(&local_events, index..index + 1);
        emit(&world_events, 1000 + index..1001 + index);
    }
    let items = take(&mut python, "it", Some(200)).await.items;
    let numbers = items.iter().map(|item| item["index"].as_i64().unwrap());
    let (local, world): (Vec<_>, Vec<_>) = numbers.partition(|index| *index < 1000);
    // Only events of the same publisher are ordered.
    assert!(local.into_iter().eq(0..100));
    assert!(world.into_iter().eq(1000..1100));
}

async fn subject_messages_are_received(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    mesh.register(agents![noon]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    subscribe(&mut python, json!({"subject": "orders.*"})).await;
    mesh.publish("orders", 0).await.unwrap();
    for number in 1..=100 {
        mesh.publish("orders.new", number).await.unwrap();
    }
    // The published SDKs read JSON only. Other messages do not end the subscription.
    mesh.publish_bytes("orders.new", vec![0xff, 0xfe])
        .await
        .unwrap();
    mesh.publish_text("orders.new", "not JSON").await.unwrap();
    let order = json!({"id": 7, "text": "grüß dich 👋", "none": null});
    mesh.publish("orders.old", &order)
        .header("Shop", "corner")
        .await
        .unwrap();

    let mut expected: Vec<_> = (1..=100).map(Value::from).collect();
    expected.push(order);
    assert_eq!(take(&mut python, "it", Some(101)).await.items, expected);
    python.end().await.unwrap();
}
