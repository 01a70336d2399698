//! A caller in Python, agents in Rust: errors.

use interop::{Peer, Raised, Sdk};
use openagentmesh::agents;
use serde_json::{Value, json};

use crate::common::{TestMesh, python_lists, raised};
use crate::rust_agents::{echo, fragile, letters, summarize};

interop::with_each_sdk!(
    invalid_input_names_every_location,
    failing_or_panicking_handler_is_a_mesh_error_and_keeps_serving,
    unserved_name_has_no_responders,
    too_large_reply_is_an_error_and_keeps_serving,
);

async fn call_that_fails(python: &mut Peer, name: &str, payload: Value) -> Raised {
    let arguments = json!({"name": name, "payload": payload});
    raised(python.ask("call", arguments).await)
}

async fn still_serves(python: &mut Peer) {
    let arguments = json!({"name": "echo", "payload": "still"});
    let reply = python.ask("call", arguments).await.unwrap();
    assert_eq!(reply, "Echo: still");
}

async fn invalid_input_names_every_location(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![summarize, echo]).await.unwrap();
    let mut python = test.python_peer(sdk).await;

    let input = json!({"text": "", "max_words": 101, "tones": ["rude"], "origin": {}});
    let error = call_that_fails(&mut python, "nlp.summarizer", input).await;
    assert_eq!(error.class, "MeshError");
    assert_eq!(error.code.as_deref(), Some("invalid_input"));
    assert_eq!(error.agent.as_deref(), Some("nlp.summarizer"));
    assert_eq!(error.request_id.unwrap().len(), 32);
    assert!(
        error.message.contains("nlp.summarizer"),
        "{}",
        error.message
    );
    let problems = error.details["errors"].as_array().unwrap();
    let mut locations: Vec<_> = problems
        .iter()
        .map(|problem| problem["location"].as_str().unwrap())
        .collect();
    locations.sort_unstable();
    assert_eq!(
        locations,
        ["/max_words", "/origin/author", "/text", "/tones/0"]
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem["message"].is_string())
    );

    // An input of another type, and no input.
    for input in [json!(5), Value::Null] {
        let error = call_that_fails(&mut python, "nlp.summarizer", input).await;
        assert_eq!(error.code.as_deref(), Some("invalid_input"));
    }
    still_serves(&mut python).await;
}

async fn failing_or_panicking_handler_is_a_mesh_error_and_keeps_serving(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![fragile, echo]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    for (how, code, message) in [
        ("error", "handler_error", "told to fail"),
        (
            "panic",
            "handler_error",
            "the handler panicked: told to panic",
        ),
        ("mesh error", "rate_limited", "come back later"),
    ] {
        let error = call_that_fails(&mut python, "fragile", json!(how)).await;
        assert_eq!(error.class, "MeshError");
        assert_eq!(error.code.as_deref(), Some(code));
        assert_eq!(error.message, message);
        assert_eq!(error.agent.as_deref(), Some("fragile"));
        if how == "mesh error" {
            assert_eq!(error.details["seconds"], 5);
        }
    }
    still_serves(&mut python).await;
}

async fn unserved_name_has_no_responders(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![echo]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    python_lists(&mut python, &["echo"]).await;
    let error = call_that_fails(&mut python, "nosuch", Value::Null).await;
    assert_eq!(error.class, "NoRespondersError");

    // A deregistered agent leaves no subscription.
    still_serves(&mut python).await;
    test.mesh.deregister(["echo"]).await.unwrap();
    let error = call_that_fails(&mut python, "echo", json!("x")).await;
    assert_eq!(error.class, "NoRespondersError");
    let error = raised(python.ask("contract", json!({"name": "echo"})).await);
    assert_eq!(error.code.as_deref(), Some("not_found"));
}

async fn too_large_reply_is_an_error_and_keeps_serving(sdk: Sdk) {
    const LIMIT: u32 = 64 * 1024;
    let test = TestMesh::with_max_payload(LIMIT).await;
    test.mesh.register(agents![letters, echo]).await.unwrap();
    let mut python = test.python_peer(sdk).await;

    // The second size fits only without the headers.
    for count in [10 * LIMIT, LIMIT - 2] {
        let error = call_that_fails(&mut python, "letters", json!(count)).await;
        assert_eq!(error.code.as_deref(), Some("payload_too_large"), "{count}");
        assert_eq!(error.agent.as_deref(), Some("letters"));
        assert_eq!(error.details["limit"], LIMIT);
    }
    let arguments = json!({"name": "letters", "payload": LIMIT - 1024});
    let reply = python.ask("call", arguments).await.unwrap();
    assert_eq!(reply.as_str().unwrap().len() as u32, LIMIT - 1024);
    still_serves(&mut python).await;
}
