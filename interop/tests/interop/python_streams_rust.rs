//! A caller in Python, streaming agents in Rust.

use futures::stream;
use interop::{Peer, Sdk, schema::meaning};
use openagentmesh::{AgentSpec, agents};
use serde_json::{Value, json};

use crate::common::{Taken, TestMesh, python_lists, raised, take, within};
use crate::rust_agents::{numbers, pieces, stumble};
use crate::taps::tap;

interop::with_each_sdk!(
    chunks_arrive_in_order_with_their_types,
    contract_is_equivalent_to_that_of_python,
    concurrent_streams_do_not_mix,
    error_follows_the_chunks_before_it,
    invalid_input_names_every_location,
    too_large_chunk_is_an_error_and_keeps_serving,
);

async fn chunks_of(python: &mut Peer, name: &str, payload: Value) -> Value {
    let arguments = json!({"name": name, "payload": payload});
    python.ask("stream", arguments).await.unwrap()
}

/// Opens a stream and reads it to its end.
async fn taken(python: &mut Peer, name: &str, payload: Value) -> Taken {
    let arguments = json!({"key": "it", "name": name, "payload": payload});
    python.ask("open_stream", arguments).await.unwrap();
    take(python, "it", None).await
}

async fn chunks_arrive_in_order_with_their_types(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![pieces, numbers]).await.unwrap();
    let mut python = test.python_peer(sdk).await;

    assert_eq!(
        chunks_of(&mut python, "nlp.pieces", json!("grüß dich 👋")).await,
        json!([
            {"index": 0, "text": "grüß"}, {"index": 1, "text": "dich"}, {"index": 2, "text": "👋"},
        ])
    );
    assert_eq!(
        chunks_of(&mut python, "nlp.pieces", json!("")).await,
        json!([])
    );
    let all: Vec<u64> = (0..5000).collect();
    let got = chunks_of(&mut python, "numbers", json!(5000)).await;
    assert_eq!(got, json!(all));
}

async fn contract_is_equivalent_to_that_of_python(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![pieces]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let entry = &python_lists(&mut python, &["nlp.pieces"]).await[0];
    assert_eq!(
        (&entry["invocable"], &entry["streaming"]),
        (&json!(true), &json!(true))
    );

    let name = json!({"name": "nlp.pieces"});
    let contract = python.ask("contract", name).await.unwrap();
    let capabilities = json!({"streaming": true, "invocable": true});
    assert_eq!(contract["capabilities"], capabilities);
    assert_eq!(contract["skills"][0].get("outputSchema"), None);
    for (kind, ours) in [
        ("Text", &contract["skills"][0]["inputSchema"]),
        ("Piece", &contract["chunk_schema"]),
    ] {
        let theirs = python.ask("schema", json!({"type": kind})).await.unwrap();
        let mut theirs = meaning(&theirs);
        if kind == "Piece" {
            // Only the Rust type has a description.
            theirs["description"] = json!("A part of something.");
        }
        assert_eq!(meaning(ours), theirs);
    }
}

async fn concurrent_streams_do_not_mix(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (agent, mut runs) = tap();
    test.mesh.register([agent]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let mut open = async |python: &mut Peer, key: &str| {
        let arguments = json!({"key": key, "name": "tap", "payload": key});
        python.ask("open_stream", arguments).await.unwrap();
        within(runs.recv()).await.unwrap()
    };
    let first = open(&mut python, "first").await;
    let second = open(&mut python, "second").await;
    for number in 0..100 {
        first.chunks.send(number).unwrap();
        second.chunks.send(1000 + number).unwrap();
    }
    // Each stream is read while the other one pauses, and each has its own end.
    assert_eq!(take(&mut python, "second", Some(100)).await.items[99], 1099);
    drop(second);
    assert!(take(&mut python, "second", None).await.ended);
    assert_eq!(take(&mut python, "first", Some(100)).await.items[99], 99);
    first.chunks.send(100).unwrap();
    drop(first);
    let rest = take(&mut python, "first", None).await;
    assert_eq!((rest.items, rest.ended), (vec![json!(100)], true));
}

async fn error_follows_the_chunks_before_it(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![stumble, numbers]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let before = [
        json!({"index": 0, "text": "before"}),
        json!({"index": 1, "text": "before"}),
    ];
    for (how, chunks, code, message) in [
        ("error", 2, "handler_error", "told to fail"),
        ("mesh error", 2, "rate_limited", "come back later"),
        ("panic", 2, "handler_error", "told to panic"),
        ("panic at once", 0, "handler_error", "told to panic at once"),
    ] {
        let taken = taken(&mut python, "stumble", json!(how)).await;
        assert_eq!(taken.items, before[..chunks], "{how}");
        let error = taken.raised.unwrap();
        assert_eq!(error.class, "MeshError");
        assert_eq!(error.code.as_deref(), Some(code));
        assert!(error.message.contains(message), "{}", error.message);
        assert_eq!(error.agent.as_deref(), Some("stumble"));
        if how == "mesh error" {
            assert_eq!(error.details["seconds"], 5);
        }
    }
    let fine = taken(&mut python, "stumble", json!("fine")).await;
    assert_eq!(fine.items[2], json!({"index": 2, "text": "fine"}));
    assert!(fine.ended);
}

async fn invalid_input_names_every_location(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (agent, mut runs) = tap();
    let agents = agents![pieces, numbers].into_iter().chain([agent]);
    test.mesh.register(agents).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    for (name, payload) in [
        ("nlp.pieces", json!({"text": "a"})),
        ("numbers", json!(-1)),
        ("numbers", Value::Null),
        ("tap", json!(5)),
    ] {
        let arguments = json!({"name": name, "payload": payload});
        let error = raised(python.ask("stream", arguments).await);
        assert_eq!(error.class, "MeshError");
        assert_eq!(error.code.as_deref(), Some("invalid_input"));
        assert_eq!(error.agent.as_deref(), Some(name));
        assert_eq!(error.details["errors"][0]["location"], "");
    }
    assert!(runs.try_recv().is_err(), "the handler does not run");
    assert_eq!(
        chunks_of(&mut python, "numbers", json!(1)).await,
        json!([0])
    );
}

async fn too_large_chunk_is_an_error_and_keeps_serving(sdk: Sdk) {
    const LIMIT: usize = 64 * 1024;
    let test = TestMesh::with_max_payload(LIMIT as u32).await;
    let spec = AgentSpec::new("letters", "Streams chunks of the given lengths.");
    let letters = spec.handler(|counts: Vec<usize>| {
        stream::iter(counts.into_iter().map(|count| "x".repeat(count)))
    });
    test.mesh.register([letters]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    // The second size fits only without the headers.
    for count in [10 * LIMIT, LIMIT - 2] {
        let taken = taken(&mut python, "letters", json!([1, count, 1])).await;
        assert_eq!(taken.items, [json!("x")]);
        let error = taken.raised.unwrap();
        assert_eq!(error.code.as_deref(), Some("payload_too_large"));
        assert_eq!(error.details["limit"], LIMIT);
    }
    let chunks = chunks_of(&mut python, "letters", json!([LIMIT - 1024, 1])).await;
    assert_eq!(chunks[0].as_str().unwrap().len(), LIMIT - 1024);
    assert_eq!(chunks[1], "x");
}
