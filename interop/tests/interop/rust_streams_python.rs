//! A caller in Rust, streaming agents in Python.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use interop::Sdk;
use openagentmesh::{AgentSpec, Chunks, Error, ErrorCode, Result};
use serde_json::{Value, json};

use crate::common::{TestMesh, header, within};
use crate::rust_agents::Piece;

interop::with_each_sdk!(
    chunks_arrive_in_order_typed_and_untyped,
    error_follows_the_chunks_before_it,
    id_of_a_stream_is_whole_in_subjects_and_errors,
    invalid_input_is_the_error_of_python,
    chunk_of_another_type_is_an_error,
    consumer_that_leaves_early_breaks_nothing,
    killed_host_ends_its_stream_in_time,
    hosts_in_both_languages_stream_under_one_name,
    fast_consumer_receives_every_chunk,
    slow_consumer_receives_an_error,
);

/// Far more chunks than a consumer buffers.
const MANY: u64 = 40_000;

/// All chunks of a stream, and the error that ended it.
async fn all<T>(chunks: Result<Chunks<T>>) -> (Vec<T>, Option<Error>) {
    let mut chunks = chunks.unwrap();
    let mut taken = Vec::new();
    while let Some(chunk) = within(chunks.next()).await {
        match chunk {
            Ok(chunk) => taken.push(chunk),
            Err(error) => {
                assert!(
                    within(chunks.next()).await.is_none(),
                    "an error is the last item"
                );
                return (taken, Some(error));
            }
        }
    }
    (taken, None)
}

async fn chunks_arrive_in_order_typed_and_untyped(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["nlp.pieces", "numbers"]).await;
    let mesh = &test.mesh;

    let pieces = mesh
        .stream::<Piece>("nlp.pieces", "grüß dich")
        .await
        .unwrap();
    let pieces: Vec<Piece> = within(pieces.try_collect()).await.unwrap();
    assert_eq!(pieces, [Piece::new(0, "grüß"), Piece::new(1, "dich")]);
    let pieces = mesh
        .stream::<Value>("nlp.pieces", json!("a"))
        .await
        .unwrap();
    let pieces: Vec<Value> = within(pieces.try_collect()).await.unwrap();
    assert_eq!(pieces, [json!({"index": 0, "text": "a"})]);
    let none = mesh.stream::<Piece>("nlp.pieces", "").await;
    assert!(matches!(all(none).await, (none, None) if none.is_empty()));
    let (numbers, error) = all(mesh.stream::<u64>("numbers", 1000).await).await;
    assert!(numbers.into_iter().eq(0..1000));
    assert!(error.is_none());
}

async fn error_follows_the_chunks_before_it(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["stumble"]).await;
    for (how, code, message) in [
        ("error", "handler_error", "told to fail"),
        ("mesh error", "rate_limited", "come back later"),
    ] {
        let (chunks, error) = all(test.mesh.stream::<Piece>("stumble", how).await).await;
        let before = [Piece::new(0, "before"), Piece::new(1, "before")];
        assert_eq!(chunks, before, "{how}");
        let error = error.unwrap();
        assert_eq!(error.code().as_str(), code);
        assert_eq!(error.message(), message);
        if how == "mesh error" {
            assert_eq!(error.details()["seconds"], 5);
        } else {
            assert_eq!(error.agent(), Some("stumble"));
            assert!(is_of_a_stream(error.request_id().unwrap()));
        }
    }
}

/// Whether the id is that of a stream: the prefix of its process, a dot and a token.
fn is_of_a_stream(id: &str) -> bool {
    id.split_once('.')
        .is_some_and(|(prefix, token)| prefix.len() == 32 && token.contains('-'))
}

async fn id_of_a_stream_is_whole_in_subjects_and_errors(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["stumble"]).await;
    let nats = test.nats().await;
    let mut heard = nats.subscribe("mesh.>").await.unwrap();
    nats.flush().await.unwrap();

    let (_, error) = all(test.mesh.stream::<Piece>("stumble", "error").await).await;
    let error = error.unwrap();
    let id = error.request_id().unwrap();
    assert!(is_of_a_stream(id), "{id}");

    let mut chunks = 0;
    // These SDKs publish no log events.
    let mut missing = vec!["the request", "the dead letter"];
    while !missing.is_empty() {
        let message = within(heard.next()).await.unwrap();
        let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        match &*message.subject {
            "mesh.agent.stumble" => {
                assert_eq!(header(&message, "X-Mesh-Request-Id"), Some(id));
                missing.retain(|part| *part != "the request");
            }
            "mesh.errors.stumble" => {
                assert_eq!(body["request_id"], id);
                missing.retain(|part| *part != "the dead letter");
            }
            subject if subject.starts_with("mesh.stream.") => {
                assert_eq!(subject, format!("mesh.stream.{id}"));
                assert_eq!(header(&message, "X-Mesh-Request-Id"), Some(id));
                chunks += 1;
            }
            _ => {}
        }
    }
    assert!(chunks > 0, "the chunks precede the error");
}

async fn invalid_input_is_the_error_of_python(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["numbers"]).await;
    let (chunks, error) = all(test.mesh.stream::<u64>("numbers", "many").await).await;
    assert!(chunks.is_empty());
    let error = error.unwrap();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.agent(), Some("numbers"));
    assert!(error.message().contains("int"), "{error}");
}

async fn chunk_of_another_type_is_an_error(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["nlp.pieces"]).await;
    let (chunks, error) = all(test.mesh.stream::<u64>("nlp.pieces", "a b").await).await;
    assert!(chunks.is_empty());
    let error = error.unwrap();
    assert_eq!(error.code(), &ErrorCode::UnexpectedReply);
    assert!(error.message().contains("u64"), "{error}");
}

async fn consumer_that_leaves_early_breaks_nothing(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_host(sdk, &["numbers", "echo"]).await;
    let mut chunks = test.mesh.stream::<u64>("numbers", 500).await.unwrap();
    for number in 0..3 {
        assert_eq!(within(chunks.next()).await.unwrap().unwrap(), number);
    }
    drop(chunks);
    // A stream of which no chunk is read.
    drop(test.mesh.stream::<u64>("numbers", 501).await.unwrap());

    // The published SDKs do not notice the dropped consumers and send all chunks, stream after stream.
    let noted = python.ask("noted", json!({"count": 4})).await.unwrap();
    let told = "all numbers told";
    assert_eq!(noted, json!([500, told, 501, told]));
    let (numbers, error) = all(test.mesh.stream::<u64>("numbers", 10).await).await;
    assert!(numbers.into_iter().eq(0..10));
    assert!(error.is_none());
    let echo: String = test.mesh.call("echo", "still").await.unwrap();
    assert_eq!(echo, "Echo: still");
    python.end().await.unwrap();
}

async fn killed_host_ends_its_stream_in_time(sdk: Sdk) {
    let test = TestMesh::start().await;
    let python = test.python_host(sdk, &["halt"]).await;
    let chunks = test.mesh.stream::<u64>("halt", 3);
    let mut chunks = chunks.chunk_timeout(Duration::from_secs(10)).await.unwrap();
    for number in 0..3 {
        assert_eq!(within(chunks.next()).await.unwrap().unwrap(), number);
    }
    python.kill().await.unwrap();
    let (rest, error) = all(Ok(chunks)).await;
    assert!(rest.is_empty());
    assert_eq!(error.unwrap().code(), &ErrorCode::Timeout);
    let (rest, error) = all(test.mesh.stream::<u64>("halt", 3).await).await;
    assert!(rest.is_empty());
    assert_eq!(error.unwrap().code(), &ErrorCode::NotAvailable);
}

/// The name is outside of a channel: in a channel, hosts of 0.1.5 have a different queue group.
async fn hosts_in_both_languages_stream_under_one_name(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_host(sdk, &["numbers"]).await;
    let host = test.rust_peer().await;
    let ours = AgentSpec::new("numbers", "Counts down.")
        .handler(|count: u64| stream::iter((0..count).rev()));
    host.register([ours]).await.unwrap();

    // The server distributes the requests at random.
    let mut hosts = [0, 0];
    while hosts.contains(&0) {
        assert!(
            hosts[0] + hosts[1] < 200,
            "one host receives all requests: {hosts:?}"
        );
        let (numbers, error) = all(test.mesh.stream::<u64>("numbers", 3).await).await;
        assert!(error.is_none(), "{error:?}");
        assert!(numbers == [0, 1, 2] || numbers == [2, 1, 0], "{numbers:?}");
        hosts[usize::from(numbers[0] == 0)] += 1;
    }
    let mut hosts = [0, 0];
    while hosts.contains(&0) {
        assert!(
            hosts[0] + hosts[1] < 200,
            "one host receives all requests: {hosts:?}"
        );
        let arguments = json!({"name": "numbers", "payload": 3});
        let numbers = python.ask("stream", arguments).await.unwrap();
        assert!(
            numbers == json!([0, 1, 2]) || numbers == json!([2, 1, 0]),
            "{numbers}"
        );
        hosts[usize::from(numbers[0] == 0)] += 1;
    }
}

async fn fast_consumer_receives_every_chunk(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["numbers"]).await;
    let (numbers, error) = all(test.mesh.stream::<u64>("numbers", MANY).await).await;
    assert!(error.is_none(), "{error:?}");
    assert!(numbers.into_iter().eq(0..MANY));
}

async fn slow_consumer_receives_an_error(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_host(sdk, &["numbers", "echo"]).await;
    let mut chunks = test.mesh.stream::<u64>("numbers", MANY).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);

    // All chunks have arrived when a later reply arrives; none is read before.
    python.ask("noted", json!({"count": 2})).await.unwrap();
    let _: String = within(test.mesh.call("echo", "after")).await.unwrap();

    let (rest, error) = all(Ok(chunks)).await;
    let kept = rest.len() as u64;
    assert!(
        rest.into_iter().eq(1..=kept),
        "the buffered chunks are in order"
    );
    assert!(kept < MANY - 1, "some chunks are lost");
    let error = error.unwrap();
    assert_eq!(error.code(), &ErrorCode::ChunkSequenceError);
    assert!(error.details()["lost"].as_u64().unwrap() > 0, "{error}");

    let (numbers, error) = all(test.mesh.stream::<u64>("numbers", 10).await).await;
    assert!(numbers.into_iter().eq(0..10));
    assert!(error.is_none());
}
