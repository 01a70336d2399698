//! Sends without waiting for a reply, in both directions: the request arrives, and the reply goes to
//! its destination.

use futures::StreamExt;
use interop::Sdk;
use openagentmesh::{ErrorCode, agents};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::common::{TestMesh, header, synchronize, within};
use crate::rust_agents::{Summary, echo, fragile, summarize};
use crate::taps::sink;

interop::with_each_sdk!(
    python_sends_and_forgets,
    python_sends_and_its_callbacks_are_called,
    python_sends_many_and_all_callbacks_are_called,
    python_sends_and_the_reply_goes_to_a_subject,
    rust_sends_and_forgets,
    rust_sends_and_its_callbacks_are_called,
    rust_sends_and_awaits_the_reply_later,
    rust_sends_and_the_reply_goes_to_a_subject,
);

fn text(text: &str) -> Value {
    json!({"text": text, "max_words": 1, "tones": [], "origin": {"author": "Ada"}})
}

async fn python_sends_and_forgets(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (agent, mut sunk) = sink();
    test.mesh.register([agent]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    for number in 0..100 {
        let forgotten = json!({"name": "sink", "payload": number.to_string()});
        python.ask("send_forget", forgotten).await.unwrap();
    }
    // The handlers run concurrently, in any order.
    let mut all: Vec<u32> = Vec::new();
    while all.len() < 100 {
        all.push(within(sunk.recv()).await.unwrap().parse().unwrap());
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..100));
    // Leaving the mesh flushes the request.
    let forgotten = json!({"name": "sink", "payload": "last"});
    python.ask("send_forget", forgotten).await.unwrap();
    python.end().await.unwrap();
    assert_eq!(within(sunk.recv()).await.unwrap(), "last");
}

async fn python_sends_and_its_callbacks_are_called(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh
        .register(agents![summarize, fragile])
        .await
        .unwrap();
    let mut python = test.python_peer(sdk).await;

    let sent = json!({"name": "nlp.summarizer", "payload": text("a b")});
    let called = python.ask("send_on_reply", sent).await.unwrap();
    assert_eq!(called, json!({"reply": {"summary": "a", "words": 1}}));

    for (name, payload, code, message) in [
        ("fragile", json!("error"), "handler_error", "told to fail"),
        (
            "fragile",
            json!("mesh error"),
            "rate_limited",
            "come back later",
        ),
        ("fragile", json!("panic"), "handler_error", "told to panic"),
        (
            "nlp.summarizer",
            json!({}),
            "invalid_input",
            "nlp.summarizer",
        ),
    ] {
        let sent = json!({"name": name, "payload": payload});
        let called = python.ask("send_on_reply", sent).await.unwrap();
        assert_eq!(called["error"]["code"], code);
        let got = called["error"]["message"].as_str().unwrap();
        assert!(got.contains(message), "{got}");
        assert_eq!(called["error"]["agent"], name);
        assert_eq!(called["error"]["request_id"].as_str().unwrap().len(), 32);
    }
}

/// The published SDKs subscribe to a reply after they have sent the request, usually after the answer.
async fn python_sends_many_and_all_callbacks_are_called(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![echo]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let texts: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let expected: Vec<_> = texts
        .iter()
        .map(|text| json!({"reply": format!("Echo: {text}")}))
        .collect();
    let sent = json!({"name": "echo", "payloads": texts});
    for _ in 0..20 {
        let called = python.ask("send_many_on_reply", sent.clone()).await;
        assert_eq!(called.unwrap(), json!(expected));
    }
}

async fn python_sends_and_the_reply_goes_to_a_subject(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![echo, fragile]).await.unwrap();
    let mut python = test.python_peer(sdk).await;

    let sent = json!({"name": "echo", "payload": "back"});
    let message = python.ask("send_reply_to", sent).await.unwrap();
    assert_eq!(message["body"], "Echo: back");
    assert_eq!(message["headers"]["X-Mesh-Status"], "ok");
    assert_eq!(message["headers"]["X-Mesh-Source"], "echo");
    let request_id = message["headers"]["X-Mesh-Request-Id"].as_str().unwrap();
    assert_eq!(request_id.len(), 32);

    let sent = json!({"name": "fragile", "payload": "error"});
    let message = python.ask("send_reply_to", sent).await.unwrap();
    assert_eq!(message["body"]["code"], "handler_error");
    assert_eq!(message["headers"]["X-Mesh-Status"], "error");
}

async fn rust_sends_and_forgets(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_host(sdk, &["note"]).await;
    for number in 0..100 {
        test.mesh.send("note", number.to_string()).await.unwrap();
    }
    let noted = python.ask("noted", json!({"count": 100})).await.unwrap();
    // A host of a published SDK serves one request after another.
    let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(noted, json!(expected));
}

async fn rust_sends_and_its_callbacks_are_called(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["nlp.summarizer", "fragile"]).await;
    let send = async |name: &str, payload: Value| {
        let (replied, reply) = oneshot::channel();
        let (failed, error) = oneshot::channel();
        test.mesh
            .send(name, payload)
            .on_reply(|reply: Value| async move { replied.send(reply).unwrap() })
            .on_error(|error| async move { failed.send(error).unwrap() })
            .await
            .unwrap();
        // One callback is called; the other one is dropped.
        let (reply, error) = within(async { tokio::join!(reply, error) }).await;
        reply.map_err(|_| error.unwrap())
    };
    let reply = send("nlp.summarizer", text("a b")).await.unwrap();
    assert_eq!(reply, json!({"summary": "a", "words": 1}));

    let error = send("fragile", json!("error")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "told to fail");
    assert_eq!(error.agent(), Some("fragile"));
    let error = send("fragile", json!("mesh error")).await.unwrap_err();
    assert_eq!(error.code().as_str(), "rate_limited");
    assert_eq!(error.details()["seconds"], 5);
}

async fn rust_sends_and_awaits_the_reply_later(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test
        .python_host(sdk, &["nlp.summarizer", "fragile", "note"])
        .await;
    let mesh = &test.mesh;
    let summary = mesh.send("nlp.summarizer", text("a b")).reply::<Summary>();
    let summary = summary.await.unwrap();
    let failure = mesh
        .send("fragile", "error")
        .reply::<String>()
        .await
        .unwrap();
    let noted = mesh.send("note", "four").reply::<usize>().await.unwrap();
    // All requests are answered before the first reply is read.
    python.ask("noted", json!({"count": 1})).await.unwrap();

    assert_eq!(within(noted).await.unwrap(), 4);
    let error = within(failure).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "told to fail");
    let expected = Summary {
        summary: "a".to_owned(),
        words: 1,
    };
    assert_eq!(within(summary).await.unwrap(), expected);
}

async fn rust_sends_and_the_reply_goes_to_a_subject(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["echo", "fragile"]).await;
    let client = test.nats().await;
    let mut replies = client.subscribe("interop.replies").await.unwrap();
    synchronize(&client).await;
    let send = |name, payload| test.mesh.send(name, payload).reply_to("interop.replies");

    send("echo", "back").await.unwrap();
    let reply = within(replies.next()).await.unwrap();
    assert_eq!(reply.payload, "\"Echo: back\"");
    assert_eq!(header(&reply, "X-Mesh-Status"), Some("ok"));
    assert_eq!(header(&reply, "X-Mesh-Source"), Some("echo"));

    send("fragile", "error").await.unwrap();
    let reply = within(replies.next()).await.unwrap();
    assert_eq!(header(&reply, "X-Mesh-Status"), Some("error"));
    let error: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(error["message"], "told to fail");
}
