//! Publishers in Rust, subscribers in Python.

use interop::{Peer, Sdk};
use openagentmesh::{AgentMesh, agents};
use serde_json::{Value, json};

use crate::common::{TestMesh, python_lists, take};
use crate::rust_agents::{Piece, noon};
use crate::taps::{self, publisher};

interop::with_each_sdk!(
    events_come_in_order_and_end_with_the_deregistration,
    events_end_when_the_host_shuts_down,
    events_end_when_the_publisher_does,
    events_go_on_after_a_failure,
    the_events_of_a_channel_are_those_of_its_publishers,
    what_is_published_to_a_subject_is_taken_there,
);

type Events = tokio::sync::mpsc::UnboundedSender<taps::Event>;

/// A publisher in Rust on a mesh of its own connection, and a subscriber in Python.
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

fn tell(events: &Events, indices: std::ops::Range<i64>) {
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

/// Nothing more comes, and it ends without an error.
async fn ended(python: &mut Peer) {
    let rest = take(python, "it", None).await;
    assert!(rest.ended && rest.items.is_empty(), "{rest:?}");
}

async fn events_come_in_order_and_end_with_the_deregistration(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (host, events, mut python) = subscribed(&test, sdk).await;
    tell(&events, 0..1000);
    get(&mut python, 0..1000).await;
    // It was waiting meanwhile.
    tell(&events, 1000..1001);
    get(&mut python, 1000..1001).await;
    host.deregister(["news.local"]).await.unwrap();
    ended(&mut python).await;
    python.end().await.unwrap();
}

async fn events_end_when_the_host_shuts_down(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (host, events, mut python) = subscribed(&test, sdk).await;
    tell(&events, 0..1);
    get(&mut python, 0..1).await;
    host.shutdown().await.unwrap();
    ended(&mut python).await;
}

async fn events_end_when_the_publisher_does(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (_host, events, mut python) = subscribed(&test, sdk).await;
    tell(&events, 0..3);
    drop(events);
    get(&mut python, 0..3).await;
    ended(&mut python).await;
}

async fn events_go_on_after_a_failure(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (_host, events, mut python) = subscribed(&test, sdk).await;
    tell(&events, 0..3);
    events.send(Err("told to fail".to_owned())).unwrap();
    tell(&events, 3..6);
    get(&mut python, 0..6).await;
    drop(events);
    ended(&mut python).await;
}

async fn the_events_of_a_channel_are_those_of_its_publishers(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (local, local_events) = publisher("news.local");
    let (world, world_events) = publisher("news.world");
    let (other, other_events) = publisher("newsletter");
    test.mesh.register([local, world, other]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    subscribe(&mut python, json!({"channel": "news"})).await;

    tell(&other_events, 0..1);
    for index in 0..100 {
        tell(&local_events, index..index + 1);
        tell(&world_events, 1000 + index..1001 + index);
    }
    let items = take(&mut python, "it", Some(200)).await.items;
    let numbers = items.iter().map(|item| item["index"].as_i64().unwrap());
    let (local, world): (Vec<_>, Vec<_>) = numbers.partition(|index| *index < 1000);
    // Only those of one publisher have an order.
    assert!(local.into_iter().eq(0..100));
    assert!(world.into_iter().eq(1000..1100));
}

async fn what_is_published_to_a_subject_is_taken_there(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    mesh.register(agents![noon]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    subscribe(&mut python, json!({"subject": "orders.*"})).await;
    mesh.publish("orders", 0).await.unwrap();
    for number in 1..=100 {
        mesh.publish("orders.new", number).await.unwrap();
    }
    // The published SDKs read JSON only. What they cannot read does not end it.
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
