//! A verb that does not fit an agent, in both directions: the caller refuses it before it sends a
//! message, and the host refuses a request that the caller did not check.

use interop::{Peer, Raised, Sdk};
use openagentmesh::{Error, ErrorCode, agents};
use serde_json::{Value, json};

use crate::common::{Tap, TestMesh, python_lists, raised, take, within};
use crate::rust_agents::{echo, noon, pieces, sentry, ticker};

interop::with_each_sdk!(
    python_caller_refuses_the_wrong_verb,
    rust_host_refuses_the_wrong_verb,
    rust_caller_refuses_the_wrong_verb,
    python_host_refuses_the_wrong_verb,
);

/// For each verb, the agents that it does not fit, and the fitting verb.
const WRONG: &[(&str, &[(&str, &str)])] = &[
    (
        "call",
        &[
            ("nlp.pieces", "stream"),
            ("ticker", "subscribe"),
            ("sentry", "background"),
        ],
    ),
    (
        "send",
        &[
            ("nlp.pieces", "stream"),
            ("ticker", "subscribe"),
            ("sentry", "background"),
        ],
    ),
    (
        "stream",
        &[
            ("echo", "call"),
            ("noon", "call"),
            ("ticker", "subscribe"),
            ("sentry", "background"),
        ],
    ),
    (
        "subscribe",
        &[
            ("echo", "call"),
            ("noon", "call"),
            ("nlp.pieces", "stream"),
            ("sentry", "background"),
        ],
    ),
];

/// One agent of each shape.
const NAMES: [&str; 5] = ["echo", "noon", "nlp.pieces", "ticker", "sentry"];

async fn rust_agents_and_python(sdk: Sdk) -> (TestMesh, Peer) {
    let test = TestMesh::start().await;
    let agents = agents![echo, noon, pieces, ticker, sentry];
    test.mesh.register(agents).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    python_lists(&mut python, &NAMES).await;
    (test, python)
}

/// The exception of Python for a verb.
async fn refusal(python: &mut Peer, verb: &str, name: &str) -> Raised {
    if verb == "subscribe" {
        let arguments = json!({"key": "it", "agent": name});
        python.ask("open_events", arguments).await.unwrap();
        return take(python, "it", None).await.raised.unwrap();
    }
    let command = match verb {
        "send" => "send_on_reply",
        verb => verb,
    };
    let arguments = json!({"name": name, "payload": "x"});
    match python.ask(command, arguments).await {
        // A callback receives the error of a reply.
        Ok(called) if verb == "send" => serde_json::from_value(called["error"].clone()).unwrap(),
        refused => raised(refused),
    }
}

/// Whether a message is a request to an agent.
fn is_request(message: &async_nats::Message) -> bool {
    message.subject.starts_with("mesh.agent.") && !message.subject.ends_with(".events")
}

async fn python_caller_refuses_the_wrong_verb(sdk: Sdk) {
    let (test, mut python) = rust_agents_and_python(sdk).await;
    let mut tap = Tap::requests(&test).await;
    for (verb, agents) in WRONG {
        for (name, fitting) in *agents {
            if (*verb, *name) == ("send", "nlp.pieces") {
                // The published SDKs leave this check to the host.
                continue;
            }
            let error = refusal(&mut python, verb, name).await;
            assert_eq!(error.class, "InvocationMismatch", "{verb} {name}");
            assert_eq!(error.code.as_deref(), Some("invocation_mismatch"));
            assert_eq!(error.agent.as_deref(), Some(*name));
            let message = error.message.to_lowercase();
            assert!(message.contains(fitting), "{message}");
        }
    }
    assert!(!tap.rest().await.iter().any(is_request));
}

async fn rust_host_refuses_the_wrong_verb(sdk: Sdk) {
    let (test, mut python) = rust_agents_and_python(sdk).await;
    let mut tap = Tap::requests(&test).await;
    python.ask("skip_checks", json!({})).await.unwrap();
    let mut refused = 0;
    for (verb, agents) in WRONG {
        // A subscription sends no request.
        for (name, fitting) in agents.iter().filter(|_| *verb != "subscribe") {
            let error = refusal(&mut python, verb, name).await;
            assert_eq!(error.class, "MeshError", "{verb} {name}");
            assert_eq!(error.code.as_deref(), Some("invocation_mismatch"));
            assert_eq!(error.agent.as_deref(), Some(*name));
            assert_eq!(error.request_id.unwrap().len(), 32);
            assert!(error.message.contains(fitting), "{}", error.message);
            refused += 1;
        }
    }
    let sent = tap.rest().await;
    assert_eq!(
        sent.iter().filter(|message| is_request(message)).count(),
        refused
    );
    // Fitting verbs are served.
    let arguments = json!({"name": "echo", "payload": "x"});
    assert_eq!(python.ask("call", arguments).await.unwrap(), "Echo: x");
    let arguments = json!({"name": "nlp.pieces", "payload": "x"});
    let chunks = python.ask("stream", arguments).await.unwrap();
    assert_eq!(chunks, json!([{"index": 0, "text": "x"}]));
}

async fn rust_caller_refuses_the_wrong_verb(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &NAMES).await;
    let mesh = &test.mesh;
    let mut tap = Tap::start(&test).await;
    let refusal = async |verb: &str, name: &str| -> Error {
        match verb {
            "call" => mesh.call::<Value>(name, "x").await.unwrap_err(),
            "send" => mesh.send(name, "x").await.unwrap_err(),
            "stream" => mesh.stream::<Value>(name, "x").await.unwrap_err(),
            _ => mesh.subscribe::<Value>(name).await.unwrap_err(),
        }
    };
    for (verb, agents) in WRONG {
        for (name, fitting) in *agents {
            let error = within(refusal(verb, name)).await;
            assert_eq!(
                error.code(),
                &ErrorCode::InvocationMismatch,
                "{verb} {name}"
            );
            assert_eq!(error.agent(), Some(*name));
            assert!(error.message().contains(fitting), "{error}");
            match *fitting {
                "background" => assert_eq!(error.details().get("use"), None),
                verb => assert_eq!(error.details()["use"], *verb),
            }
        }
    }
    assert!(!tap.rest().await.iter().any(is_request));
}

/// The Rust SDK cannot skip its check: the test writes the request itself.
async fn python_host_refuses_the_wrong_verb(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["note", "numbers"]).await;
    let client = test.nats().await;
    let mut tap = Tap::start(&test).await;
    for (name, stream, fitting) in [("note", true, "call()"), ("numbers", false, "stream()")] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-Mesh-Request-Id", "0123456789abcdef0123456789abcdef");
        if stream {
            headers.insert("X-Mesh-Stream", "true");
        }
        let subject = format!("mesh.agent.{name}");
        client
            .publish_with_reply_and_headers(subject, "interop.replies", headers, "1".into())
            .await
            .unwrap();
        let place = if stream {
            "mesh.stream."
        } else {
            "interop.replies"
        };
        let answer = tap.next(|message| message.subject.starts_with(place)).await;
        let error: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(error["code"], "invocation_mismatch");
        assert!(
            error["message"].as_str().unwrap().contains(fitting),
            "{error}"
        );
    }
}
