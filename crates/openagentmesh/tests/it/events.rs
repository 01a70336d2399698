//! Events: published by agents and by `publish`, received by agent, by channel and by subject.

use std::time::Duration;

use crate::support::{Proxy, TestMesh, eventually, within};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentMesh, AgentSpec, ConnectionState, ErrorCode};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// A publisher of the numbers that the test sends to `source`.
fn relay(name: &str, source: &broadcast::Sender<u32>) -> Agent {
    let source = source.clone();
    AgentSpec::new(name, "Publishes the numbers of the test.").handler(move || received(&source))
}

fn received(source: &broadcast::Sender<u32>) -> impl Stream<Item = u32> + use<> {
    stream::unfold(source.subscribe(), |mut source| async move {
        Some((source.recv().await.ok()?, source))
    })
}

/// Waits until so many publishers receive from `source`.
async fn subscribed_to(source: &broadcast::Sender<u32>, publishers: usize) {
    eventually(|| async { (source.receiver_count() == publishers).then_some(()) }).await;
}

#[tokio::test]
async fn events_arrive_in_order_and_end_with_their_publisher() {
    let test = TestMesh::start().await;
    let source = broadcast::Sender::new(64);
    test.mesh.register(relay("ticker", &source)).await.unwrap();
    subscribed_to(&source, 1).await;
    let subscriber = test.peer().await;
    let mut events = subscriber.subscribe::<u32>("ticker").await.unwrap();
    for n in 0..10 {
        source.send(n).unwrap();
    }
    for n in 0..10 {
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, n);
        assert_eq!(event.header("x-mesh-stream-seq").unwrap(), n.to_string());
        assert!(
            event
                .headers()
                .iter()
                .any(|(name, _)| name == "X-Mesh-Instance-Id")
        );
    }
    let raw = test.raw().await;
    let mut end = crate::support::subscribed(&raw, "mesh.agent.ticker.events").await;
    test.mesh.deregister(["ticker"]).await.unwrap();
    assert!(within(events.next()).await.is_none());
    let end = within(end.next()).await.unwrap();
    let headers = end.headers.unwrap();
    assert_eq!(headers.get("X-Mesh-Stream-End").unwrap().as_str(), "true");
    assert_eq!(headers.get("X-Mesh-Stream-Seq").unwrap().as_str(), "10");
    assert!(end.payload.is_empty());
}

#[tokio::test]
async fn events_of_two_hosts_end_with_the_last_host() {
    let test = TestMesh::start().await;
    let source = broadcast::Sender::new(64);
    let other = test.peer().await;
    test.mesh.register(relay("ticker", &source)).await.unwrap();
    other.register(relay("ticker", &source)).await.unwrap();
    subscribed_to(&source, 2).await;
    let mut events = test.peer().await.subscribe::<u32>("ticker").await.unwrap();
    source.send(1).unwrap();
    for _ in 0..2 {
        assert_eq!(within(events.next()).await.unwrap().unwrap().data, 1);
    }
    other.shutdown().await.unwrap();
    source.send(2).unwrap();
    assert_eq!(within(events.next()).await.unwrap().unwrap().data, 2);
    test.mesh.shutdown().await.unwrap();
    assert!(within(events.next()).await.is_none());
}

#[tokio::test]
async fn channel_subscription_gets_the_events_of_all_its_publishers() {
    let test = TestMesh::start().await;
    let mut events = test.mesh.subscribe_channel::<u32>("market").await.unwrap();
    let source = broadcast::Sender::new(64);
    let echo = AgentSpec::new("market.echo", "Answers.").handler(|n: u32| async move { n });
    let names = ["market.prices", "market.deep.volumes", "other.prices"];
    let mut agents = names.map(|name| relay(name, &source)).to_vec();
    agents.push(echo);
    test.mesh.register(agents).await.unwrap();
    subscribed_to(&source, 3).await;
    assert_eq!(test.mesh.call::<u32>("market.echo", 5).await.unwrap(), 5);
    source.send(9).unwrap();
    let mut publishers = Vec::new();
    for _ in 0..2 {
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, 9);
        publishers.push(event.agent().unwrap().to_string());
    }
    publishers.sort();
    assert_eq!(publishers, ["market.deep.volumes", "market.prices"]);
    // A publisher that leaves does not end the subscription to the channel.
    test.mesh.deregister(["market.prices"]).await.unwrap();
    source.send(10).unwrap();
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(
        (event.data, event.subject()),
        (10, "mesh.agent.market.deep.volumes.events")
    );
}

#[tokio::test]
async fn published_json_text_and_bytes_are_received_by_content_type() {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    let mut values = mesh.subscribe_subject::<Value>("orders.*").await.unwrap();
    let mut bytes = mesh
        .subscribe_subject::<Value>("orders.>")
        .raw()
        .await
        .unwrap();
    mesh.publish("orders.new", json!({"id": 7}))
        .header("Priority", "high")
        .await
        .unwrap();
    mesh.publish_text("orders.note", "grüß \"dich\"")
        .await
        .unwrap();
    mesh.publish_bytes("orders.image", vec![0xff, 0x00])
        .await
        .unwrap();
    let raw = test.raw().await;
    raw.publish("orders.raw", "[1, 2]".into()).await.unwrap();
    raw.flush().await.unwrap();

    let event = within(values.next()).await.unwrap().unwrap();
    assert_eq!(
        (event.subject(), &event.data),
        ("orders.new", &json!({"id": 7}))
    );
    assert_eq!(event.header("priority"), Some("high"));
    assert_eq!(
        event.header("X-Mesh-Content-Type"),
        Some("application/json")
    );
    let event = within(values.next()).await.unwrap().unwrap();
    assert_eq!(event.data, "grüß \"dich\"");
    let error = within(values.next()).await.unwrap().unwrap_err();
    assert!(error.message().contains("orders.image"), "{error}");
    assert_eq!(
        within(values.next()).await.unwrap().unwrap().data,
        json!([1, 2])
    );

    let expected: [&[u8]; 4] = [
        b"{\"id\":7}",
        "grüß \"dich\"".as_bytes(),
        &[0xff, 0x00],
        b"[1, 2]",
    ];
    for expected in expected {
        let event = within(bytes.next()).await.unwrap().unwrap();
        assert_eq!(event.data, Bytes::from_static(expected));
    }
}

#[tokio::test]
async fn subscription_to_all_subjects_receives_events() {
    let test = TestMesh::start().await;
    let listen = test.mesh.subscribe_subject::<Value>(">").raw();
    let mut everything = within(listen).await.unwrap();
    test.mesh.publish("orders.new", 7).await.unwrap();
    let taken = async {
        loop {
            let event = everything.next().await.unwrap().unwrap();
            if event.subject() == "orders.new" {
                return event.data;
            }
        }
    };
    assert_eq!(&within(taken).await[..], b"7");
}

#[tokio::test]
async fn invalid_subject_or_header_is_refused() {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    for subject in [
        "",
        "a b",
        "a..b",
        ".a",
        "a.",
        "orders.*",
        "orders.>",
        "a\r\nPUB x 0",
    ] {
        let error = mesh.publish(subject, 1).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{subject:?}");
    }
    for subject in ["", "a b", "a..b", "a.>.b"] {
        let error = mesh.subscribe_subject::<u32>(subject).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{subject:?}");
    }
    for (name, value) in [
        ("a b", "x"),
        ("", "x"),
        ("X-Mesh-Status", "ok"),
        ("Fine", "a\r\nb"),
    ] {
        let error = mesh
            .publish("fine", 1)
            .header(name, value)
            .await
            .unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{name:?}");
        let call = mesh.call::<u32>("fine", 1).header(name, value);
        assert_eq!(
            call.await.unwrap_err().code(),
            &ErrorCode::InvalidInput,
            "{name:?}"
        );
    }
    mesh.publish("fine", 1).await.unwrap();
}

#[tokio::test]
async fn subscription_without_events_is_a_timeout() {
    let test = TestMesh::start().await;
    let subscription = test.mesh.subscribe_subject::<u32>("quiet");
    let mut events = subscription
        .timeout(Duration::from_millis(50))
        .await
        .unwrap();
    let error = within(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(within(events.next()).await.is_none());
    assert!(within(events.next()).await.is_none());
}

/// A subscriber whose buffer overflows gets one error with the number of lost events, then further events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_subscriber_gets_the_number_of_lost_events() {
    const EVENTS: u32 = 40_000;
    let test = TestMesh::start().await;
    let burst = broadcast::Sender::new(4);
    let source = burst.clone();
    let publisher = AgentSpec::new("bursts", "Publishes bursts of numbers.")
        .handler(move || received(&source).flat_map(|count| stream::iter(0..count)));
    test.mesh.register(publisher).await.unwrap();
    subscribed_to(&burst, 1).await;
    let subscriber = test.peer().await;
    let mut events = subscriber.subscribe::<u32>("bursts").await.unwrap();
    let raw = test.raw().await;
    let mut all = crate::support::subscribed(&raw, "mesh.agent.bursts.events").await;
    // The subscriber is registered for a wake-up, but does not poll again yet.
    assert!(events.next().now_or_never().is_none());
    burst.send(EVENTS).unwrap();
    // All events are published once the plain client has received them.
    for _ in 0..EVENTS {
        within(all.next()).await.unwrap();
    }
    let (mut taken, mut lost) = (0, 0);
    while taken + lost < EVENTS {
        match within(events.next()).await.unwrap() {
            Ok(event) => {
                assert_eq!(event.data, taken + lost, "in order, around the gap");
                taken += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::ChunkSequenceError);
                lost += u32::try_from(error.details()["lost"].as_u64().unwrap()).unwrap();
            }
        }
    }
    assert!(lost > 0 && taken >= 16 * 1024, "{taken} taken, {lost} lost");
    burst.send(1).unwrap();
    assert_eq!(
        within(events.next()).await.unwrap().unwrap().data,
        0,
        "the subscription ended after a loss"
    );
}

/// The end marker arrives although the buffer overflowed before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_subscriber_gets_the_end_after_lost_events() {
    const EVENTS: u32 = 40_000;
    let test = TestMesh::start().await;
    let burst = broadcast::Sender::new(4);
    let source = burst.clone();
    let publisher = AgentSpec::new("bursts", "Publishes bursts of numbers.");
    let publisher = publisher.handler(move || {
        let counts = received(&source).take(1);
        counts.flat_map(|count| stream::iter(0..count))
    });
    test.mesh.register(publisher).await.unwrap();
    subscribed_to(&burst, 1).await;
    let subscriber = test.peer().await;
    let mut events = subscriber.subscribe::<u32>("bursts").await.unwrap();
    let raw = test.raw().await;
    let mut all = crate::support::subscribed(&raw, "mesh.agent.bursts.events").await;
    burst.send(EVENTS).unwrap();
    // The last message is the end marker.
    for _ in 0..=EVENTS {
        within(all.next()).await.unwrap();
    }
    let (mut taken, mut lost, mut losses) = (0, 0, 0);
    while let Some(event) = within(events.next()).await {
        match event {
            Ok(_) => taken += 1,
            Err(error) => {
                lost += u32::try_from(error.details()["lost"].as_u64().unwrap()).unwrap();
                losses += 1;
            }
        }
    }
    assert_eq!(taken + lost, EVENTS);
    assert_eq!(losses, 1, "consecutive losses are one error");
}

/// Any peer may publish events with any headers.
#[tokio::test]
async fn event_with_invalid_headers_is_delivered() {
    let test = TestMesh::start().await;
    let source = broadcast::Sender::new(4);
    test.mesh.register(relay("quiet", &source)).await.unwrap();
    let mut events = test.mesh.subscribe::<u32>("quiet").await.unwrap();
    let raw = test.raw().await;
    for (name, value) in [
        ("X-Mesh-Stream-Seq", "18446744073709551615"),
        ("X-Mesh-Stream-Seq", "3"),
        ("X-Mesh-Stream-End", "maybe"),
        ("X-Mesh-Status", "perhaps"),
    ] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-Mesh-Instance-Id", "cafecafecafecafe");
        headers.insert(name, value);
        let subject = "mesh.agent.quiet.events";
        raw.publish_with_headers(subject, headers, "1".into())
            .await
            .unwrap();
        let event = within(events.next()).await.unwrap();
        assert_eq!(event.unwrap().data, 1, "{name}: {value}");
    }
}

#[tokio::test]
async fn events_of_a_subject_after_a_reconnect_follow_an_error() {
    let test = TestMesh::start().await;
    let proxy = Proxy::start(&test).await;
    let subscriber = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut events = subscriber.subscribe_subject::<u32>("news").await.unwrap();
    test.mesh.publish("news", 1).await.unwrap();
    assert_eq!(within(events.next()).await.unwrap().unwrap().data, 1);
    let mut states = subscriber.status_changes();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );
    proxy.close();
    assert_eq!(within(states.next()).await, Some(ConnectionState::Lost));
    test.mesh.publish("news", 2).await.unwrap();
    proxy.open();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );
    // The subscription is made again with the connection.
    subscriber.publish("news", 3).await.unwrap();
    let error = within(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ChunkSequenceError);
    assert_eq!(error.details()["reconnected"], true);
    assert_eq!(within(events.next()).await.unwrap().unwrap().data, 3);
    subscriber.publish("news", 4).await.unwrap();
    assert_eq!(within(events.next()).await.unwrap().unwrap().data, 4);
}

#[tokio::test]
async fn expected_publisher_is_subscribed_to_before_its_registration() {
    let test = TestMesh::start().await;
    let unlisted = within(test.mesh.subscribe::<u32>("burst")).await;
    assert_eq!(unlisted.unwrap_err().code(), &ErrorCode::NotFound);
    let expected = test.mesh.subscribe::<u32>("burst").expected();
    let mut events = within(expected).await.unwrap();

    let burst = AgentSpec::new("burst", "Publishes at once, and ends.");
    let burst = burst.handler(|| stream::iter(0..3_u32));
    within(test.mesh.register(burst)).await.unwrap();
    for n in 0..3 {
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, n);
    }
    assert!(within(events.next()).await.is_none());
}
