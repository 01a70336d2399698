//! `oam agent subscribe`: output of events, and the end of the command.

use std::time::Duration;

use async_nats::HeaderMap;
use futures::{Stream, StreamExt, stream};
use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::Serialize;
use openagentmesh::{AgentSpec, CancellationToken, agent, agents};
use serde_json::Value;

use crate::support::{Running, TestMesh, within_deadline};

#[derive(Serialize, JsonSchema)]
struct Reading {
    number: u64,
    celsius: f64,
}

/// Publishes a temperature every 20 ms.
#[agent(channel = "weather")]
fn readings() -> impl Stream<Item = Reading> {
    let interval = tokio::time::interval(Duration::from_millis(20));
    stream::unfold((interval, 0), |(mut interval, number)| async move {
        interval.tick().await;
        let celsius = 20.5;
        Some((Reading { number, celsius }, (interval, number + 1)))
    })
}

/// Publishes nothing.
#[agent]
fn quiet() -> impl Stream<Item = u8> {
    stream::pending()
}

fn number(line: &str) -> u64 {
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["celsius"], 20.5);
    event["number"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_is_printed_until_a_signal() {
    for signal in ["-INT", "-TERM"] {
        let mesh = TestMesh::start(agents![readings]).await;
        let mut events = mesh.start_oam(&["agent", "subscribe", "weather.readings"]);
        let first = number(&events.line().await.unwrap());
        for expected in first + 1..first + 4 {
            assert_eq!(number(&events.line().await.unwrap()), expected);
        }
        events.signal(signal);
        let (status, stderr) = events.end().await;
        assert_eq!(
            (status.code(), stderr.as_str()),
            (Some(130), ""),
            "{signal}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_ends_after_the_count_of_events() {
    let mesh = TestMesh::start(agents![readings]).await;
    let output = mesh.oam(&["agent", "subscribe", "weather.readings", "--count", "3"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout.lines().count(), 3, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_with_pretty_option_is_printed_over_several_lines() {
    let mesh = TestMesh::start(agents![readings]).await;
    let mut events = mesh.start_oam(&["agent", "subscribe", "weather.readings", "--pretty"]);
    assert_eq!(events.line().await.as_deref(), Some("{"));
    let number = events.line().await.unwrap();
    assert!(number.starts_with("  \"number\": "), "{number}");
    assert_eq!(events.line().await.as_deref(), Some("  \"celsius\": 20.5"));
    assert_eq!(events.line().await.as_deref(), Some("}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_publisher_ends_the_command() {
    let end = CancellationToken::new();
    let publisher_end = end.clone();
    let spec = AgentSpec::new("brief", "Publishes until the test ends it.");
    let brief = spec.handler(move || {
        let interval = tokio::time::interval(Duration::from_millis(20));
        let ticks = stream::unfold(interval, |mut interval| async move {
            interval.tick().await;
            Some(("tick", interval))
        });
        ticks
            .take_until(publisher_end.clone().cancelled_owned())
            .chain(stream::iter(["last"]))
    });
    let mesh = TestMesh::start([brief]).await;
    let mut events = mesh.start_oam(&["agent", "subscribe", "brief"]);
    let mut line = events.line().await.unwrap();
    end.cancel();
    while line != "\"last\"" {
        assert_eq!(line, "\"tick\"");
        line = events.line().await.unwrap();
    }
    assert_eq!(events.line().await, None);
    let (status, stderr) = events.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_publisher_is_timeout() {
    let mesh = TestMesh::start(agents![quiet]).await;
    let command = ["agent", "subscribe", "quiet", "--timeout", "0.2"];
    let expected = [
        "error[timeout]",
        "mesh.agent.quiet.events",
        "200ms",
        "  hint: --timeout TIME waits longer",
    ];
    mesh.oam(&command).assert_failure(&command, 124, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_ends_the_command() {
    let mesh = TestMesh::start(agents![readings, quiet]).await;
    for publisher in ["weather.readings", "quiet"] {
        let mut events = mesh.start_oam(&["agent", "subscribe", publisher]);
        events.close_stdout();
        let (status, stderr) = events.end().await;
        assert_eq!(
            (status.code(), stderr.as_str()),
            (Some(0), ""),
            "{publisher}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_events_are_reported_and_do_not_end_the_command() {
    let mesh = TestMesh::start(agents![quiet]).await;
    let nats = async_nats::connect(&mesh.url).await.unwrap();
    let mut events = mesh.start_oam(&["agent", "subscribe", "quiet"]);
    let publish = async |seq: u64| {
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Stream-Seq", seq.to_string());
        headers.insert("X-Mesh-Stream-End", "false");
        headers.insert("X-Mesh-Instance-Id", "0123456789abcdef0123456789abcdef");
        let body = seq.to_string().into();
        nats.publish_with_headers("mesh.agent.quiet.events", headers, body)
            .await
            .unwrap();
    };
    let mut seq = 0;
    let first = within_deadline("an event", async {
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
    assert_eq!(status.code(), Some(130));
    for fragment in [
        "error[chunk_sequence_error]",
        "4 ",
        "mesh.agent.quiet.events",
    ] {
        assert!(stderr.contains(fragment), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_or_unknown_publisher_is_rejected() {
    let mesh = TestMesh::start(agents![]).await;
    for (name, code, fragments) in [
        ("nosuch", 5, &["error[not_found]", "'nosuch'"][..]),
        ("no spaces", 2, &["error[invalid_input]", "'no spaces'"]),
    ] {
        let command = ["agent", "subscribe", name];
        mesh.oam(&command).assert_failure(&command, code, fragments);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_without_a_server_ends_the_command() {
    let TestMesh {
        sandbox,
        client,
        url,
        server,
    } = TestMesh::start(agents![readings]).await;
    let mut events =
        Running::start(sandbox.command(&["agent", "subscribe", "weather.readings", "--url", &url]));
    events.line().await.unwrap();
    server.stop().await.unwrap();
    events.signal("-INT");
    assert_eq!(events.end().await.0.code(), Some(130));
    // Its host lived until now: the end of a publisher ends the command too, with another code.
    drop(client);
}
