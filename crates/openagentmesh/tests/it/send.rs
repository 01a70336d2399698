//! `send`: the reply goes nowhere, to a callback, to a handle, or to a subject.

use std::time::Duration;

use crate::support::{TestMesh, echo, within};
use futures::{FutureExt, StreamExt};
use openagentmesh::{AgentSpec, Error, ErrorCode};
use serde_json::Value;
use tokio::sync::mpsc;

/// An agent that passes its inputs to the test, and fails on the input "fail".
fn recorder() -> (openagentmesh::Agent, mpsc::Receiver<String>) {
    let (sender, received) = mpsc::channel(16);
    let agent = AgentSpec::new("recorder", "Records.").result_handler(move |text: String| {
        let sender = sender.clone();
        async move {
            sender.send(text.clone()).await.unwrap();
            if text == "fail" {
                return Err("failed on request".to_owned());
            }
            Ok(text.len())
        }
    });
    (agent, received)
}

#[tokio::test]
async fn sent_request_runs_without_a_reply() {
    let test = TestMesh::start().await;
    let (agent, mut received) = recorder();
    test.mesh.register(agent).await.unwrap();
    let raw = test.raw().await;
    let mut requests = crate::support::subscribed(&raw, "mesh.agent.recorder").await;
    let caller = test.peer().await;
    let send = caller.send("recorder", "hello").header("Priority", "low");
    let id = send.request_id().unwrap().clone();
    send.await.unwrap();
    assert_eq!(within(received.recv()).await.unwrap(), "hello");
    let request = within(requests.next()).await.unwrap();
    assert_eq!(request.reply, None);
    let headers = request.headers.unwrap();
    assert_eq!(headers.get("Priority").unwrap().as_str(), "low");
    let sent = headers.get("X-Mesh-Request-Id").unwrap().as_str();
    assert_eq!(sent, id.as_str());
}

#[tokio::test]
async fn reply_runs_on_reply_and_error_runs_on_error() {
    let test = TestMesh::start().await;
    let (agent, _received) = recorder();
    test.mesh.register(agent).await.unwrap();
    let (outcomes, mut outcome) = mpsc::channel::<Result<usize, Error>>(4);
    let send = async |name: &str, text: &str| {
        let (replied, failed) = (outcomes.clone(), outcomes.clone());
        test.mesh
            .send(name, text)
            .timeout(Duration::from_secs(3))
            .on_reply(|length: usize| async move { replied.send(Ok(length)).await.unwrap() })
            .on_error(|error| async move { failed.send(Err(error)).await.unwrap() })
            .await
            .unwrap();
    };
    send("recorder", "hello").await;
    assert_eq!(within(outcome.recv()).await.unwrap().unwrap(), 5);
    send("recorder", "fail").await;
    let error = within(outcome.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "failed on request");
    send("nosuch", "hello").await;
    let error = within(outcome.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);

    let stuck = AgentSpec::new("stuck", "Never answers.");
    test.mesh
        .register(stuck.handler(|_: String| std::future::pending::<usize>()))
        .await
        .unwrap();
    send("stuck", "hello").await;
    let error = within(outcome.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert_eq!(error.agent(), Some("stuck"));

    test.mesh.register(echo()).await.unwrap();
    send("echo", "text").await;
    let error = within(outcome.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::UnexpectedReply, "it is no number");
}

#[tokio::test]
async fn reply_for_a_callback_uses_the_results_subject() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let raw = test.raw().await;
    let mut results = crate::support::subscribed(&raw, "mesh.results.>").await;
    let (replied, mut reply) = mpsc::channel(1);
    test.mesh
        .send("echo", "hello")
        .on_reply(|text: String| async move { replied.send(text).await.unwrap() })
        .await
        .unwrap();
    let result = within(results.next()).await.unwrap();
    let headers = result.headers.unwrap();
    let id = headers.get("X-Mesh-Request-Id").unwrap().as_str();
    assert_eq!(result.subject.as_str(), format!("mesh.results.{id}"));
    assert_eq!(within(reply.recv()).await.unwrap(), "Echo: hello");
}

/// The published SDKs send the request before they subscribe to its reply.
#[tokio::test]
async fn late_subscriber_gets_its_reply_once() {
    let test = TestMesh::start().await;
    let (agent, mut received) = recorder();
    test.mesh.register([agent, echo()]).await.unwrap();
    let raw = test.raw().await;
    let mut answered = Vec::new();
    for (id, text, answer) in [
        ("0123456789abcdef0123456789abcdef", "hello", "5"),
        (
            "fedcba9876543210fedcba9876543210",
            "fail",
            "failed on request",
        ),
    ] {
        let subject = format!("mesh.results.{id}");
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-Mesh-Request-Id", id);
        let body = format!("{text:?}").into();
        raw.publish_with_reply_and_headers("mesh.agent.recorder", subject.clone(), headers, body)
            .await
            .unwrap();
        assert_eq!(within(received.recv()).await.unwrap(), text);
        // The reply was sent at least once after these calls.
        for _ in 0..3 {
            let call = test.mesh.call::<String>("echo", "next");
            within(call).await.unwrap();
        }
        let mut replies = crate::support::subscribed(&raw, &subject).await;
        let reply = within(replies.next()).await.unwrap();
        let body = String::from_utf8(reply.payload.to_vec()).unwrap();
        assert!(body.contains(answer), "{body}");
        assert_eq!(
            reply
                .headers
                .unwrap()
                .get("X-Mesh-Request-Id")
                .unwrap()
                .as_str(),
            id
        );
        answered.push(replies);
    }
    // After the shutdown no further reply can follow.
    test.mesh.shutdown().await.unwrap();
    crate::support::synchronize(&raw).await;
    for mut replies in answered {
        assert!(
            replies.next().now_or_never().is_none(),
            "the reply came twice"
        );
    }
}

#[tokio::test]
async fn reply_handle_keeps_the_reply_until_it_is_awaited() {
    let test = TestMesh::start().await;
    let (agent, mut received) = recorder();
    test.mesh.register(agent).await.unwrap();
    let mut replies = Vec::new();
    for text in ["a", "bb", "fail"] {
        replies.push(
            test.mesh
                .send("recorder", text)
                .reply::<usize>()
                .await
                .unwrap(),
        );
        assert_eq!(within(received.recv()).await.unwrap(), text);
    }
    let failed = replies.pop().unwrap();
    assert_eq!(
        within(failed).await.unwrap_err().code(),
        &ErrorCode::HandlerError
    );
    for (reply, expected) in replies.into_iter().zip([1, 2]) {
        assert_eq!(within(reply).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn reply_to_a_subject_is_published_there() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let mut answers = test
        .mesh
        .subscribe_subject::<Value>("answers.here")
        .await
        .unwrap();
    test.mesh
        .send("echo", "hello")
        .reply_to("answers.here")
        .await
        .unwrap();
    let answer = within(answers.next()).await.unwrap().unwrap();
    assert_eq!(answer.data, "Echo: hello");
    assert_eq!(answer.header("X-Mesh-Status"), Some("ok"));
    test.mesh
        .send("echo", 1)
        .reply_to("answers.here")
        .await
        .unwrap();
    let answer = within(answers.next()).await.unwrap().unwrap();
    assert_eq!(answer.data["code"], "invalid_input");
}

#[tokio::test]
async fn reply_with_two_destinations_is_refused() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let send = || test.mesh.send("echo", "hello");
    let nothing = |_: String| async {};
    for error in [
        send().reply_to("here").on_reply(nothing).await.unwrap_err(),
        send().reply_to("here").reply::<String>().await.unwrap_err(),
        send()
            .on_reply(nothing)
            .reply::<String>()
            .await
            .unwrap_err(),
        send().reply_to("no subject").await.unwrap_err(),
    ] {
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{error}");
    }
}
