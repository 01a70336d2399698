//! Interceptors around sends.

use futures::StreamExt;
use openagentmesh::CancelReason;
use openagentmesh::protocol::Verb;
use serde_json::Value;

use super::{ended, recorded};
use crate::support::{subscribed, within};

#[tokio::test]
async fn send_ends_with_each_outcome_once() {
    let (test, caller, recorder, alive) = recorded().await;
    let raw = test.raw().await;
    let mut replies = subscribed(&raw, "replies").await;
    caller.send("echo", "dropped").await.unwrap();
    caller.send("nosuch", "dropped").await.unwrap();
    caller.send("echo", "x").reply_to("replies").await.unwrap();
    within(replies.next()).await.unwrap();
    caller.send("counter", 1).await.unwrap_err();
    let reply = caller.send("echo", "x").reply::<String>().await.unwrap();
    within(reply).await.unwrap();
    let reply = caller.send("failing", ()).reply::<u32>().await.unwrap();
    within(reply).await.unwrap_err();
    let outcomes = [
        ("echo", "replied"),
        ("nosuch", "replied"),
        ("echo", "replied"),
        ("counter", "invocation_mismatch"),
        ("echo", "replied"),
        ("failing", "rate_limited"),
    ];
    let expected = outcomes.map(|(agent, outcome)| ended(agent, Verb::Send, outcome, 0));
    assert_eq!(recorder.take().await, expected);

    let (done, mut ran) = tokio::sync::mpsc::channel(1);
    for (agent, outcome) in [("echo", "replied"), ("failing", "rate_limited")] {
        let (replied, failed) = (done.clone(), done.clone());
        let send = caller.send(
            agent,
            if agent == "echo" {
                "x".into()
            } else {
                Value::Null
            },
        );
        let send = send
            .on_reply(|_: String| async move { replied.send("replied".to_owned()).await.unwrap() })
            .on_error(|error| async move { failed.send(error.code().to_string()).await.unwrap() });
        send.await.unwrap();
        assert_eq!(within(ran.recv()).await.unwrap(), outcome);
        assert_eq!(
            recorder.take().await,
            [ended(agent, Verb::Send, outcome, 0)]
        );
    }

    let reply = caller.send("stuck", ()).reply::<Value>().await.unwrap();
    alive.are(1).await;
    drop(reply);
    alive.are(0).await;
    let cancelled = CancelReason::CallerDisconnected.as_str();
    let expected = [ended("stuck", Verb::Send, cancelled, 0)];
    assert_eq!(recorder.take().await, expected);
}
