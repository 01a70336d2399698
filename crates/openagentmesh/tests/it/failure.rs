//! Failing handlers, oversized messages, overload: one request fails, every other one is served.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{TestMesh, echo, within};
use futures::{StreamExt, future};
use openagentmesh::{AgentSpec, Error, ErrorCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

#[tokio::test]
async fn handler_that_fails_or_panics_keeps_serving() {
    let test = TestMesh::start().await;
    let spec = AgentSpec::new("fragile", "Fails as its input says.");
    let fragile = spec.result_handler(|how: String| {
        assert!(how != "early", "early panic");
        async move {
            match how.as_str() {
                "error" => Err("failed on request".to_owned()),
                "panic" => panic!("panicked on request"),
                _ => Ok(how),
            }
        }
    });
    test.mesh.register(fragile).await.unwrap();

    for (how, message) in [
        ("error", "failed on request"),
        ("panic", "panicked on request"),
        ("early", "early panic"),
    ] {
        let error = within(test.mesh.call::<Value>("fragile", how))
            .await
            .unwrap_err();
        assert_eq!(error.code(), &ErrorCode::HandlerError, "{how}");
        let prefix = error.message().strip_suffix(message).expect(how);
        assert_eq!(prefix.is_empty(), how == "error", "{error}");
        assert_eq!(prefix.contains("panicked"), how != "error", "{error}");
        assert_eq!(error.agent(), Some("fragile"));
    }
    assert_eq!(
        test.mesh.call::<String>("fragile", "fine").await.unwrap(),
        "fine"
    );
}

/// The values that a handler holds are dropped when it ends or is cancelled, and may panic then.
#[tokio::test]
async fn panic_in_a_drop_is_a_handler_error() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "the drop panicked");
        }
    }
    let test = TestMesh::start().await;
    let call = AgentSpec::new("call", "Panics when it ends.").handler(|n: u32| {
        let bomb = Bomb;
        std::future::poll_fn(move |_| {
            let _ = &bomb;
            std::task::Poll::Ready(n)
        })
    });
    let late = AgentSpec::new("late", "Panics when it is cancelled.").handler(|_: u32| {
        let bomb = Bomb;
        async move {
            std::future::pending::<()>().await;
            drop(bomb);
        }
    });
    let stream = AgentSpec::new("stream", "Panics when it ends.").handler(|n: u32| {
        let bomb = Bomb;
        futures::stream::iter(0..n).map(move |n| {
            let _ = &bomb;
            n
        })
    });
    test.mesh.register([call, late, stream]).await.unwrap();
    let error = within(test.mesh.call::<u32>("call", 1)).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert!(error.message().contains("the drop panicked"), "{error}");

    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Timeout-Ms", "50");
    let raw = test.raw().await;
    let request = raw.request_with_headers("mesh.agent.late", headers, "1".into());
    let reply = within(request).await.unwrap();
    let object: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(object["code"], "handler_error");

    let mut chunks = test.mesh.stream::<u32>("stream", 2).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
}

#[tokio::test]
async fn handler_error_keeps_its_code_and_nests_errors_of_other_agents() {
    let test = TestMesh::start().await;
    let own = AgentSpec::new("own", "Fails with a code of its own.").handler(|| async {
        Err::<u32, _>(Error::new("rate_limited", "come back later").with_detail("seconds", 5))
    });
    let mesh = test.peer().await;
    let relay = AgentSpec::new("relay", "Calls an agent that does not exist.").handler(move || {
        let mesh = mesh.clone();
        async move { mesh.call::<u32>("nosuch", ()).await }
    });
    test.mesh.register([own, relay]).await.unwrap();

    let error = test.mesh.call::<u32>("own", ()).await.unwrap_err();
    assert_eq!(error.code().as_str(), "rate_limited");
    assert_eq!(error.details()["seconds"], 5);

    let error = test.mesh.call::<u32>("relay", ()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.agent(), Some("relay"));
    assert_eq!(error.details()["cause"]["code"], "not_found");
    assert_eq!(error.details()["cause"]["agent"], "nosuch");
}

#[tokio::test]
async fn lost_connection_of_a_handler_is_a_handler_error() {
    let test = TestMesh::start().await;
    let mesh = test.peer().await;
    mesh.shutdown().await.unwrap();
    let lost = AgentSpec::new("lost", "Has lost its connection.").handler(move || {
        let mesh = mesh.clone();
        async move { mesh.call::<u32>("other", ()).await }
    });
    test.mesh.register(lost).await.unwrap();
    let error = within(test.mesh.call::<u32>("lost", ())).await.unwrap_err();
    assert_eq!(
        error.code(),
        &ErrorCode::HandlerError,
        "the connection of the caller is not lost"
    );
    assert_eq!(error.details()["cause"]["code"], "connection_failed");
}

#[derive(serde::Deserialize, openagentmesh::schemars::JsonSchema)]
struct Unchecked {
    #[schemars(regex(pattern = "("))]
    _text: String,
}

#[tokio::test]
async fn invalid_input_schema_is_refused_at_registration() {
    let test = TestMesh::start().await;
    let spec = AgentSpec::new("unchecked", "Has an invalid pattern.");
    let error = test
        .mesh
        .register(spec.handler(|_: Unchecked| async { true }))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert!(error.message().contains("'unchecked'"), "{error}");
}

#[tokio::test]
async fn malformed_header_is_answered_on_the_stream_subject() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let raw = test.raw().await;
    let mut chunks = crate::support::subscribed(&raw, "mesh.stream.abc").await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("x-mesh-request-id", "abc");
    headers.insert("x-mesh-stream", "true");
    headers.insert("X-Mesh-Timeout-Ms", "soon");
    raw.publish_with_headers("mesh.agent.echo", headers, "\"x\"".into())
        .await
        .unwrap();
    let end = within(chunks.next()).await.unwrap();
    let object: Value = serde_json::from_slice(&end.payload).unwrap();
    assert_eq!(object["code"], "invalid_input");
    assert_eq!(object["request_id"], "abc");
    assert_eq!(object["details"]["header"], "X-Mesh-Timeout-Ms");
}

#[tokio::test]
async fn failed_request_is_copied_to_the_dead_letters() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let mut letters = crate::support::subscribed(&raw, "mesh.errors.>").await;
    test.mesh.register(echo()).await.unwrap();
    // The request has no reply subject.
    raw.publish("mesh.agent.echo", "1".into()).await.unwrap();
    let letter = within(letters.next()).await.unwrap();
    assert_eq!(letter.subject.as_str(), "mesh.errors.echo");
    let object: Value = serde_json::from_slice(&letter.payload).unwrap();
    assert_eq!(object["code"], "invalid_input");
    assert_eq!(
        letter
            .headers
            .unwrap()
            .get("X-Mesh-Status")
            .unwrap()
            .as_str(),
        "error"
    );
}

#[tokio::test]
async fn stream_request_to_a_responder_is_a_mismatch() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let raw = test.raw().await;
    let id = "0123456789abcdef0123456789abcdef";
    let mut chunks = crate::support::subscribed(&raw, &format!("mesh.stream.{id}")).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Request-Id", id);
    headers.insert("X-Mesh-Stream", "true");
    raw.publish_with_headers("mesh.agent.echo", headers, "\"x\"".into())
        .await
        .unwrap();
    let end = within(chunks.next()).await.unwrap();
    let object: Value = serde_json::from_slice(&end.payload).unwrap();
    assert_eq!(object["code"], "invocation_mismatch");
    assert_eq!(
        end.headers
            .unwrap()
            .get("X-Mesh-Stream-End")
            .unwrap()
            .as_str(),
        "true"
    );
}

/// The largest body is found by bisection, so that one byte more or less matters.
#[tokio::test]
async fn message_beyond_max_payload_fails_alone() {
    const LIMIT: usize = 64 * 1024;
    let test = TestMesh::with_max_payload(64 * 1024).await;
    let spec = AgentSpec::new("fill", "Replies with the given number of letters.");
    let fill = spec.handler(|letters: usize| async move { "x".repeat(letters) });
    let spec = AgentSpec::new("measure", "Counts letters.");
    let measure = spec.handler(|text: String| async move { text.len() });
    test.mesh.register([fill, measure, echo()]).await.unwrap();
    let caller = test.peer().await;

    // Requests: the sender refuses exactly the oversized ones.
    let refused = |letters: usize| {
        let caller = &caller;
        async move {
            match within(caller.call::<usize>("measure", "x".repeat(letters))).await {
                Ok(count) => {
                    assert_eq!(count, letters);
                    false
                }
                Err(error) => {
                    assert_eq!(
                        error.code(),
                        &ErrorCode::PayloadTooLarge,
                        "{letters}: {error:?}"
                    );
                    assert!(error.details()["size"].as_u64().unwrap() > LIMIT as u64);
                    true
                }
            }
        }
    };
    let first_refused = boundary(LIMIT, refused).await;
    assert!(first_refused > LIMIT - 300 && first_refused < LIMIT);
    assert!(refused(8 * 1024 * 1024).await);

    // Replies: the host sends an error instead of losing its connection.
    let too_long = |letters: usize| {
        let caller = &caller;
        async move {
            match within(caller.call::<String>("fill", letters)).await {
                Ok(text) => {
                    assert_eq!(text.len(), letters);
                    false
                }
                Err(error) => {
                    assert_eq!(
                        error.code(),
                        &ErrorCode::PayloadTooLarge,
                        "{letters}: {error:?}"
                    );
                    assert_eq!(error.agent(), Some("fill"));
                    true
                }
            }
        }
    };
    let first_too_long = boundary(LIMIT, too_long).await;
    assert!(first_too_long > LIMIT - 300 && first_too_long < LIMIT);
    assert!(too_long(8 * 1024 * 1024).await);

    assert_eq!(
        caller.call::<String>("echo", "alive").await.unwrap(),
        "Echo: alive"
    );
}

/// The first of `0..=limit` for which `fails` is true, by bisection.
async fn boundary<F: Future<Output = bool>>(limit: usize, fails: impl Fn(usize) -> F) -> usize {
    let (mut fits, mut fails_at) = (0, limit);
    assert!(fails(fails_at).await && !fails(fits).await);
    while fits + 1 < fails_at {
        let middle = usize::midpoint(fits, fails_at);
        if fails(middle).await {
            fails_at = middle;
        } else {
            fits = middle;
        }
    }
    fails_at
}

#[tokio::test]
async fn error_beyond_max_payload_is_shortened() {
    let test = TestMesh::with_max_payload(16 * 1024).await;
    let spec = AgentSpec::new("verbose", "Fails with a long message.");
    let verbose = spec.result_handler(|()| async { Err::<u32, _>("y".repeat(1024 * 1024)) });
    let spec = AgentSpec::new("list", "Takes numbers.");
    let list = spec.handler(|numbers: HashMap<String, u32>| async move { numbers.len() });
    test.mesh.register([verbose, list]).await.unwrap();

    let error = within(test.mesh.call::<u32>("verbose", ()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert!(error.message().starts_with("yyy") && error.message().ends_with('…'));

    let wrong: HashMap<String, &str> = (0..120).map(|n| (format!("{n:0100}"), "z")).collect();
    let error = within(test.mesh.call::<usize>("list", wrong))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert_eq!(error.details()["errors"].as_array().unwrap().len(), 20);
    assert_eq!(error.details()["omitted"], 100);
}

#[tokio::test]
async fn requests_beyond_concurrency_and_queue_are_overloaded() {
    let test = TestMesh::start().await;
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let release = Arc::new(Notify::new());
    let gate = {
        let (running, most, release) = (running.clone(), most.clone(), release.clone());
        AgentSpec::new("gate", "Answers when it is released.")
            .concurrency(4)
            .queue(6)
            .handler(move || {
                let (running, most, release) = (running.clone(), most.clone(), release.clone());
                async move {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    release.notified().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    now
                }
            })
    };
    test.mesh.register(gate).await.unwrap();
    let caller = test.peer().await;

    let calls: Vec<_> = (0..12)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.call::<usize>("gate", ()).await })
        })
        .collect();
    // 4 requests run and 6 are queued. The other two are refused while these are held.
    let refused = crate::support::eventually(|| async {
        (calls.iter().filter(|call| call.is_finished()).count() == 2).then_some(())
    });
    refused.await;
    crate::support::eventually(|| async { (running.load(Ordering::SeqCst) == 4).then_some(()) })
        .await;

    let releasing = async {
        loop {
            release.notify_waiters();
            tokio::task::yield_now().await;
        }
    };
    let results = tokio::select! {
        results = within(future::join_all(calls)) => results,
        () = releasing => unreachable!(),
    };
    let mut answered = 0;
    for result in results {
        match result.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::Overloaded);
                assert_eq!(error.details()["in_flight"], json!(10));
                assert_eq!(error.details()["concurrency"], json!(4));
            }
        }
    }
    assert_eq!(answered, 10);
    assert_eq!(most.load(Ordering::SeqCst), 4);
}
