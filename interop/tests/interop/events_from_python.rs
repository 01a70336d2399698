//! Publishers in Python, subscribers in Rust.

use std::ops::Range;

use interop::{Peer, Sdk};
use openagentmesh::{ErrorCode, Events};
use serde_json::{Value, json};

use crate::common::{TestMesh, within};
use crate::rust_agents::Piece;

interop::with_each_sdk!(
    events_arrive_in_order_and_end_when_the_host_leaves,
    events_end_when_the_publisher_ends,
    publisher_error_follows_its_events,
    channel_events_name_their_publishers,
    slow_subscriber_receives_the_number_of_lost_events,
    subject_messages_keep_their_content_type,
);

async fn emit(python: &mut Peer, name: &str, indices: Range<usize>) {
    let texts: Vec<_> = indices.map(|index| format!("news {index}")).collect();
    let arguments = json!({"name": name, "texts": texts});
    python.ask("emit", arguments).await.unwrap();
}

async fn get(events: &mut Events<Piece>, indices: Range<i64>) {
    for index in indices {
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, Piece::new(index, &format!("news {index}")));
        assert_eq!(event.agent().unwrap().as_str(), "news.local");
        assert_eq!(event.subject(), "mesh.agent.news.local.events");
        assert_eq!(event.header("x-mesh-stream-seq"), Some(&*index.to_string()));
    }
}

/// Starts a publisher in Python and a subscriber in Rust.
async fn subscribed(test: &TestMesh, sdk: Sdk) -> (Peer, Events<Piece>) {
    let python = test.python_host(sdk, &["news.local"]).await;
    let events = test.mesh.subscribe("news.local").await.unwrap();
    (python, events)
}

async fn events_arrive_in_order_and_end_when_the_host_leaves(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (mut python, mut events) = subscribed(&test, sdk).await;
    emit(&mut python, "news.local", 0..1000).await;
    get(&mut events, 0..1000).await;
    emit(&mut python, "news.local", 1000..1001).await;
    get(&mut events, 1000..1001).await;
    python.end().await.unwrap();
    assert!(within(events.next()).await.is_none());
    // The publisher is no longer listed.
    let late = test.rust_peer().await;
    let error = within(late.subscribe::<Piece>("news.local"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
}

async fn events_end_when_the_publisher_ends(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (mut python, mut events) = subscribed(&test, sdk).await;
    emit(&mut python, "news.local", 0..3).await;
    let arguments = json!({"name": "news.local"});
    python.ask("finish", arguments).await.unwrap();
    get(&mut events, 0..3).await;
    assert!(within(events.next()).await.is_none());
}

async fn publisher_error_follows_its_events(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (mut python, mut events) = subscribed(&test, sdk).await;
    let mut failures = test
        .mesh
        .subscribe_subject::<Value>("mesh.errors.>")
        .await
        .unwrap();
    emit(&mut python, "news.local", 0..3).await;
    let arguments = json!({"name": "news.local", "error": "told to fail"});
    python.ask("finish", arguments).await.unwrap();
    get(&mut events, 0..3).await;
    let error = within(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "told to fail");
    assert!(
        within(events.next()).await.is_none(),
        "Python does not restart the publisher"
    );

    let failure = within(failures.next()).await.unwrap().unwrap();
    assert_eq!(failure.subject(), "mesh.errors.news.local");
    assert_eq!(failure.data["message"], "told to fail");
}

async fn channel_events_name_their_publishers(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test
        .python_host(sdk, &["news.local", "news.world", "nlp.pieces"])
        .await;
    let mut events = test.mesh.subscribe_channel::<Piece>("news").await.unwrap();
    emit(&mut python, "news.local", 0..10).await;
    emit(&mut python, "news.world", 0..10).await;
    // The end of one publisher does not end the subscription to the channel.
    let arguments = json!({"name": "news.local"});
    python.ask("finish", arguments).await.unwrap();

    let mut counts = [("news.local", 0), ("news.world", 0)];
    for _ in 0..20 {
        let event = within(events.next()).await.unwrap().unwrap();
        let agent = event.agent().unwrap();
        let (_, next) = counts
            .iter_mut()
            .find(|(name, _)| agent.as_str() == *name)
            .unwrap();
        assert_eq!(event.data.index, *next, "{agent}");
        *next += 1;
    }
    emit(&mut python, "news.world", 10..11).await;
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(event.agent().unwrap().as_str(), "news.world");
    assert_eq!(event.data.index, 10);
}

async fn slow_subscriber_receives_the_number_of_lost_events(sdk: Sdk) {
    const MANY: i64 = 40_000;
    let test = TestMesh::start().await;
    let mut python = test.python_host(sdk, &["news.local", "echo"]).await;
    let mut events = test.mesh.subscribe::<Piece>("news.local").await.unwrap();
    // All events have arrived when a later reply arrives; none is read before.
    emit(&mut python, "news.local", 0..MANY as usize).await;
    let _: String = within(test.mesh.call("echo", "after")).await.unwrap();

    let (mut taken, mut lost) = (0, 0);
    while taken + lost < MANY {
        match within(events.next()).await.unwrap() {
            Ok(event) => {
                assert_eq!(
                    event.data.index,
                    taken + lost,
                    "the gap is reported before the next event"
                );
                taken += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::ChunkSequenceError);
                lost += error.details()["lost"].as_i64().unwrap();
            }
        }
    }
    assert!(taken > 0 && lost > 0, "{taken} were taken and {lost} lost");
    emit(&mut python, "news.local", 0..1).await;
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(event.data.index, MANY, "the subscription continues");
}

async fn subject_messages_keep_their_content_type(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let mut values = test
        .mesh
        .subscribe_subject::<Value>("notes.>")
        .await
        .unwrap();
    let mut bytes = test
        .mesh
        .subscribe_subject::<()>("notes.>")
        .raw()
        .await
        .unwrap();
    let all = [
        (
            "{\"a\": [1, \"grüß dich\"]}",
            None,
            json!({"a": [1, "grüß dich"]}),
        ),
        ("[1]", Some("application/json"), json!([1])),
        ("remember", Some("text/plain"), json!("remember")),
        ("7", Some("text/plain"), json!("7")),
    ];
    for (text, content_type, _) in &all {
        let arguments = json!({"subject": "notes.new", "text": text, "content_type": content_type});
        python.ask("publish", arguments).await.unwrap();
    }
    let arguments = json!({
        "subject": "notes.old.one", "text": "raw", "content_type": "application/octet-stream",
    });
    python.ask("publish", arguments).await.unwrap();

    for (text, _, value) in &all {
        let event = within(values.next()).await.unwrap().unwrap();
        assert_eq!((event.subject(), &event.data), ("notes.new", value));
        assert!(event.agent().is_none());
        let event = within(bytes.next()).await.unwrap().unwrap();
        assert_eq!(event.data, text.as_bytes());
    }
    // Bytes are not JSON: the event is an error.
    let error = within(values.next()).await.unwrap().unwrap_err();
    assert!(error.message().contains("raw()"), "{error}");
    let event = within(bytes.next()).await.unwrap().unwrap();
    assert_eq!(event.data, "raw".as_bytes());
    let arguments = json!({"subject": "notes.last", "text": "1"});
    python.ask("publish", arguments).await.unwrap();
    let event = within(values.next()).await.unwrap().unwrap();
    assert_eq!((event.subject(), &event.data), ("notes.last", &json!(1)));
}
