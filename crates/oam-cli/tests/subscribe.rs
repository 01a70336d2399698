//! `oam agent subscribe` and `oam mesh listen`: what is published, as it comes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use async_nats::HeaderMap;
use common::{Running, Served, in_time};
use futures::{Stream, StreamExt, stream};
use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::Serialize;
use openagentmesh::{AgentSpec, CancellationToken, agent, agents};
use serde_json::{Value, json};

#[derive(Serialize, JsonSchema)]
struct Reading {
    number: u64,
    celsius: f64,
}

/// Publishes a temperature now and then.
#[agent(channel = "weather")]
fn readings() -> impl Stream<Item = Reading> {
    let pace = tokio::time::interval(Duration::from_millis(20));
    stream::unfold((pace, 0), |(mut pace, number)| async move {
        pace.tick().await;
        let celsius = 20.5;
        Some((Reading { number, celsius }, (pace, number + 1)))
    })
}

/// Publishes nothing.
#[agent]
fn quiet() -> impl Stream<Item = u8> {
    stream::pending()
}

/// Publishes `message` until a line is printed, and gives that line: then the command has subscribed.
async fn until_heard(
    served: &Served,
    running: &mut Running,
    subject: &str,
    message: Value,
) -> String {
    in_time("a line", async {
        loop {
            served.mesh.publish(subject, &message).await.unwrap();
            if let Some(line) = running.line_within(Duration::from_millis(50)).await {
                return line;
            }
        }
    })
    .await
}

fn number(line: &str) -> u64 {
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["celsius"], 20.5);
    event["number"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_printed_until_ctrl_c() {
    for signal in ["-INT", "-TERM"] {
        let served = Served::start(agents![readings]).await;
        let mut events = served.start_oam(&["agent", "subscribe", "weather.readings"]);
        let first = number(&events.line().await.unwrap());
        for expected in first + 1..first + 4 {
            assert_eq!(number(&events.line().await.unwrap()), expected);
        }
        events.signal(signal);
        let (status, stderr) = events.end().await;
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_over_several_lines_where_that_is_asked_for() {
    let served = Served::start(agents![readings]).await;
    let mut events = served.start_oam(&["agent", "subscribe", "weather.readings", "--json"]);
    assert_eq!(events.line().await.as_deref(), Some("{"));
    let number = events.line().await.unwrap();
    assert!(number.starts_with("  \"number\": "), "{number}");
    assert_eq!(events.line().await.as_deref(), Some("  \"celsius\": 20.5"));
    assert_eq!(events.line().await.as_deref(), Some("}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_end_with_their_publisher() {
    let over = CancellationToken::new();
    let ending = over.clone();
    let spec = AgentSpec::new("brief", "Publishes until it is told to end.");
    let brief = spec.handler(move || {
        let pace = tokio::time::interval(Duration::from_millis(20));
        let ticks = stream::unfold(pace, |mut pace| async move {
            pace.tick().await;
            Some(("tick", pace))
        });
        ticks
            .take_until(ending.clone().cancelled_owned())
            .chain(stream::iter(["last"]))
    });
    let served = Served::start([brief]).await;
    let mut events = served.start_oam(&["agent", "subscribe", "brief"]);
    let mut line = events.line().await.unwrap();
    over.cancel();
    while line != "\"last\"" {
        assert_eq!(line, "\"tick\"");
        line = events.line().await.unwrap();
    }
    assert_eq!(events.line().await, None);
    let (status, stderr) = events.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_publisher_is_waited_for_as_long_as_is_said() {
    let served = Served::start(agents![quiet]).await;
    let ran = served.oam(&["agent", "subscribe", "quiet", "--timeout", "0.2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(ran.stderr, @r"
    error[timeout]: nothing was published to mesh.agent.quiet.events within 200ms
      hint: --timeout SECONDS waits longer
    ");
    let ran = served.oam(&["mesh", "listen", "nothing.here", "--timeout", "0.2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("error[timeout]"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_ends_it_whether_or_not_anything_comes() {
    let served = Served::start(agents![readings, quiet]).await;
    for arguments in [
        ["agent", "subscribe", "weather.readings"],
        ["agent", "subscribe", "quiet"],
        ["mesh", "listen", "mesh.agent.>"],
        ["mesh", "listen", "nothing.here"],
    ] {
        let mut running = served.start_oam(&arguments);
        running.stop_reading();
        let (status, stderr) = running.end().await;
        assert_eq!(
            (status.code(), stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_events_are_told_and_do_not_end_it() {
    let served = Served::start(agents![quiet]).await;
    let raw = async_nats::connect(&served.url).await.unwrap();
    let mut events = served.start_oam(&["agent", "subscribe", "quiet"]);
    let publish = async |seq: u64| {
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Stream-Seq", seq.to_string());
        headers.insert("X-Mesh-Stream-End", "false");
        headers.insert("X-Mesh-Instance-Id", "0123456789abcdef0123456789abcdef");
        let body = seq.to_string().into();
        raw.publish_with_headers("mesh.agent.quiet.events", headers, body)
            .await
            .unwrap();
    };
    let mut seq = 0;
    let first = in_time("an event", async {
        loop {
            publish(seq).await;
            seq += 1;
            if let Some(line) = events.line_within(Duration::from_millis(50)).await {
                return line;
            }
        }
    });
    let first: u64 = first.await.parse().unwrap();
    for expected in first + 1..seq {
        assert_eq!(events.line().await, Some(expected.to_string()));
    }
    publish(seq + 4).await;
    assert_eq!(events.line().await, Some((seq + 4).to_string()));
    events.signal("-INT");
    let (status, stderr) = events.end().await;
    assert_eq!(status.code(), Some(0));
    assert!(
        stderr.contains("error[chunk_sequence_error]: 4 events on mesh.agent.quiet.events"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_shown_for_people() {
    let served = Served::start(agents![]).await;
    let mut listen = served.start_oam(&["mesh", "listen", "test.*"]);
    until_heard(&served, &mut listen, "test.ready", json!("?")).await;
    let mesh = &served.mesh;
    mesh.publish("other.subject", 0).await.unwrap();
    mesh.publish("test.a", json!({"id": 7})).await.unwrap();
    mesh.publish_text("test.b", "not \u{1b}[31mred\nbut plain")
        .await
        .unwrap();
    mesh.publish_bytes("test.c", vec![0x89, 0x50])
        .await
        .unwrap();
    mesh.publish_text("test.d", "").await.unwrap();
    mesh.publish("test.end", 1.5).await.unwrap();
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != "test.end  1.5") {
        let line = listen.line().await.unwrap();
        if !line.starts_with("test.ready") {
            lines.push(line);
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    test.a  {"id":7}
    test.b  not \u{1b}[31mred
    but plain
    test.c  (2 bytes)
    test.d  (empty)
    test.end  1.5
    "#);
    listen.signal("-INT");
    let (status, stderr) = listen.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_is_json_for_programs() {
    let served = Served::start(agents![]).await;
    let raw = async_nats::connect(&served.url).await.unwrap();
    let mut listen = served.start_oam(&["mesh", "listen", "test.>", "--json"]);
    until_heard(&served, &mut listen, "test.ready", json!("?")).await;
    let mut headers = HeaderMap::new();
    headers.insert("One", "1");
    headers.append("Many", "1");
    headers.append("Many", "2");
    raw.publish_with_reply_and_headers(
        "test.request.deep",
        "answers.here",
        headers,
        "{\"exact\":\n 1.10}".into(),
    )
    .await
    .unwrap();
    for body in [&b"plain \"text\""[..], &[0xff, 0x00], b""] {
        raw.publish("test.body", body.into()).await.unwrap();
    }
    raw.publish("test.end", "null".into()).await.unwrap();
    let mut lines = Vec::new();
    while lines
        .last()
        .is_none_or(|line: &String| !line.contains("test.end"))
    {
        let line = listen.line().await.unwrap();
        if !line.contains("test.ready") {
            lines.push(line);
        }
    }
    let request: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        request["headers"],
        json!({"One": "1", "Many": ["1", "2"]}),
        "{lines:?}"
    );
    assert_eq!(request["reply"], "answers.here");
    // Digits stay as they are.
    assert!(lines[0].contains("1.10"), "{lines:?}");
    insta::assert_snapshot!(lines[1..].join("\n"), @r#"
    {"subject":"test.body","headers":{},"body":"plain \"text\""}
    {"subject":"test.body","headers":{},"body":"/wA=","encoding":"base64"}
    {"subject":"test.body","headers":{},"body":""}
    {"subject":"test.end","headers":{},"body":null}
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_replies_of_agents_can_be_listened_to() {
    let echo = AgentSpec::new("echo", "Echoes.").handler(|text: String| async move { text });
    let served = Served::start([echo]).await;
    let mut listen = served.start_oam(&["mesh", "listen", "mesh.agent.echo", "--json"]);
    let heard = in_time("a request", async {
        loop {
            let _: String = served.mesh.call("echo", "hello").await.unwrap();
            if let Some(line) = listen.line_within(Duration::from_millis(50)).await {
                return line;
            }
        }
    });
    let heard: Value = serde_json::from_str(&heard.await).unwrap();
    assert_eq!(heard["subject"], "mesh.agent.echo");
    assert_eq!(heard["body"], "hello");
    assert!(heard["headers"]["X-Mesh-Request-Id"].is_string());
    assert!(heard["reply"].is_string());
    listen.signal("-KILL");
    assert_eq!(listen.end().await.0.signal(), Some(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_listened_to_is_refused() {
    let served = Served::start(agents![]).await;
    for (arguments, code, expected) in [
        (
            ["mesh", "listen", "a..b"],
            2,
            "'a..b' is no subject: one of its segments is empty",
        ),
        (["mesh", "listen", "a.>.b"], 2, "nothing can follow it"),
        (
            ["agent", "subscribe", "nosuch"],
            1,
            "error[not_found]: agent 'nosuch' not found",
        ),
        (
            ["agent", "subscribe", "no spaces"],
            2,
            "has the character ' '",
        ),
    ] {
        let ran = served.oam(&arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_it_also_when_the_mesh_is_gone() {
    let Served {
        sandbox,
        mesh,
        url,
        server,
    } = Served::start(agents![readings]).await;
    let mut events =
        Running::start(sandbox.command(&["agent", "subscribe", "weather.readings", "--url", &url]));
    events.line().await.unwrap();
    drop(mesh);
    server.stop().await.unwrap();
    events.signal("-INT");
    assert_eq!(events.end().await.0.code(), Some(0));
}
