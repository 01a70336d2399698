//! A consumer in Python leaves a stream or is killed: the handler in Rust stops.

use std::time::Duration;

use async_nats::Request;
use async_nats::client::RequestErrorKind;
use interop::{Peer, Sdk};
use openagentmesh::agents;
use serde_json::json;

use crate::common::{TestMesh, python_lists, take, within};
use crate::rust_agents::numbers;
use crate::taps::{Run, endless, tap};

interop::with_each_sdk!(
    consumer_that_breaks_its_loop_stops_the_handler,
    killed_consumer_stops_the_handler,
    paused_stream_stops_at_its_next_chunk_after_its_consumer_breaks_the_loop,
    paused_stream_stops_at_its_next_chunk_after_its_consumer_is_killed,
);

async fn consumer_that_breaks_its_loop_stops_the_handler(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (endless, mut runs) = endless();
    let agents = agents![numbers].into_iter().chain([endless]);
    test.mesh.register(agents).await.unwrap();
    let mut python = test.python_peer(sdk).await;

    let arguments = json!({"name": "endless", "count": 3, "payload": "go"});
    let chunks = python.ask("break_stream", arguments).await.unwrap();
    assert_eq!(chunks, json!([0, 1, 2]));
    let dropped = within(runs.recv()).await.unwrap();
    within(dropped).await.unwrap_err();

    // Both sides keep working.
    let arguments = json!({"name": "numbers", "payload": 3});
    let chunks = python.ask("stream", arguments).await.unwrap();
    assert_eq!(chunks, json!([0, 1, 2]));
    python.end().await.unwrap();
}

async fn killed_consumer_stops_the_handler(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (agent, mut runs) = endless();
    test.mesh.register([agent]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let arguments = json!({"key": "it", "name": "endless", "payload": "go"});
    python.ask("open_stream", arguments).await.unwrap();
    take(&mut python, "it", Some(3)).await;
    let dropped = within(runs.recv()).await.unwrap();

    python.kill().await.unwrap();
    within(dropped).await.unwrap_err();
}

/// Starts a consumer that has received three chunks of a stream that then pauses.
async fn paused(test: &TestMesh, sdk: Sdk) -> (Peer, Run) {
    let (agent, mut runs) = tap();
    test.mesh.register([agent]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    python_lists(&mut python, &["tap"]).await;
    let given = async {
        let run = within(runs.recv()).await.unwrap();
        for number in 0..3 {
            run.chunks.send(number).unwrap();
        }
        run
    };
    let open = json!({"name": "tap", "count": 3, "payload": "go"});
    let (chunks, run) = tokio::join!(python.ask("break_stream", open), given);
    assert_eq!(chunks.unwrap(), json!([0, 1, 2]));
    (python, run)
}

/// Checks that the next chunk stops the handler, because the consumer has left.
async fn stops_at_its_next_chunk(test: &TestMesh, run: Run) {
    has_no_subscriber(test, &run.request_id).await;
    assert!(
        !run.chunks.is_closed(),
        "the host has no signal before the next chunk"
    );
    run.chunks.send(3).unwrap();
    within(run.chunks.closed()).await;
}

/// Waits until the server has no subscriber for the chunks of a stream.
async fn has_no_subscriber(test: &TestMesh, request_id: &str) {
    let client = test.nats().await;
    let subject = format!("mesh.stream.{request_id}");
    within(async {
        loop {
            // The published SDKs skip a message without a body.
            let probe = Request::new().timeout(Some(Duration::from_millis(50)));
            match client.send_request(subject.clone(), probe).await {
                Err(error) if error.kind() == RequestErrorKind::NoResponders => return,
                _ => {}
            }
        }
    })
    .await;
}

async fn paused_stream_stops_at_its_next_chunk_after_its_consumer_breaks_the_loop(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (python, run) = paused(&test, sdk).await;
    stops_at_its_next_chunk(&test, run).await;
    python.end().await.unwrap();
}

async fn paused_stream_stops_at_its_next_chunk_after_its_consumer_is_killed(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (agent, mut runs) = tap();
    test.mesh.register([agent]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let arguments = json!({"key": "it", "name": "tap", "payload": "go"});
    python.ask("open_stream", arguments).await.unwrap();
    let run = within(runs.recv()).await.unwrap();
    run.chunks.send(0).unwrap();
    assert_eq!(take(&mut python, "it", Some(1)).await.items, [json!(0)]);

    python.kill().await.unwrap();
    stops_at_its_next_chunk(&test, run).await;
}
