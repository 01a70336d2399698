//! `oam mesh listen`: output of messages, and the end of the command.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use async_nats::HeaderMap;
use futures::stream;
use openagentmesh::AgentSpec;
use serde_json::{Value, json};

use crate::support::{Running, TestMesh, within_deadline};

/// Publishes `message` until the command prints a line: its subscription is active.
async fn until_subscribed(mesh: &TestMesh, running: &mut Running, subject: &str, message: Value) {
    within_deadline("line of the command", async {
        loop {
            mesh.client.publish(subject, &message).await.unwrap();
            let line = running.line_within(Duration::from_millis(50)).await;
            if line.is_some() {
                return;
            }
        }
    })
    .await;
}

/// A line with `[time]` in place of the time of arrival.
fn without_time(line: &str) -> String {
    let is_time = |text: &str| {
        let shape: String = text
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        shape == "00:00:00.000Z"
    };
    match line.split_once("  ") {
        Some((time, rest)) if is_time(time) => format!("[time]  {rest}"),
        _ => line.to_owned(),
    }
}

/// A JSON line without its time.
fn without_json_time(line: &str) -> String {
    let (start, rest) = line.split_once("\"time\":\"").unwrap();
    let (time, rest) = rest.split_once("\",").unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
    format!("{start}{rest}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_printed_for_people() {
    let mesh = TestMesh::start([]).await;
    let mut listen = mesh.start_oam(&["mesh", "listen", "test.*"]);
    until_subscribed(&mesh, &mut listen, "test.ready", json!("?")).await;
    let client = &mesh.client;
    client.publish("other.subject", 0).await.unwrap();
    client.publish("test.a", json!({"id": 7})).await.unwrap();
    client
        .publish_text("test.b", "not \u{1b}[31mred\nbut plain")
        .await
        .unwrap();
    client
        .publish_bytes("test.c", vec![0x89, 0x50])
        .await
        .unwrap();
    client.publish_text("test.d", "").await.unwrap();
    client.publish("test.end", 1.5).await.unwrap();
    let mut lines = Vec::new();
    while lines
        .last()
        .is_none_or(|line: &String| !line.ends_with("test.end  1.5"))
    {
        let line = listen.line().await.unwrap();
        if !line.contains("test.ready") {
            lines.push(without_time(&line));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    [time]  -         test.a  {"id":7}
    [time]  -         test.b  not \u{1b}[31mred
    but plain
    [time]  -         test.c  (2 bytes)
    [time]  -         test.d  (empty)
    [time]  -         test.end  1.5
    "#);
    listen.signal("-INT");
    let (status, stderr) = listen.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_with_json_option_are_json_lines() {
    let mesh = TestMesh::start([]).await;
    let nats = async_nats::connect(&mesh.url).await.unwrap();
    let mut listen = mesh.start_oam(&["mesh", "listen", "test.>", "--json"]);
    until_subscribed(&mesh, &mut listen, "test.ready", json!("?")).await;
    let mut headers = HeaderMap::new();
    headers.insert("One", "1");
    headers.append("Many", "1");
    headers.append("Many", "2");
    nats.publish_with_reply_and_headers(
        "test.request.deep",
        "answers.here",
        headers,
        "{\"exact\":\n 1.10}".into(),
    )
    .await
    .unwrap();
    for body in [&b"plain \"text\""[..], &[0xff, 0x00], b""] {
        nats.publish("test.body", body.into()).await.unwrap();
    }
    nats.publish("test.end", "null".into()).await.unwrap();
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
    // The digits are unchanged.
    assert!(lines[0].contains("1.10"), "{lines:?}");
    let others: Vec<_> = lines[1..]
        .iter()
        .map(|line| without_json_time(line))
        .collect();
    insta::assert_snapshot!(others.join("\n"), @r#"
    {"subject":"test.body","headers":{},"body":"plain \"text\""}
    {"subject":"test.body","headers":{},"body":"/wA=","encoding":"base64"}
    {"subject":"test.body","headers":{},"body":""}
    {"subject":"test.end","headers":{},"body":null}
    "#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_of_an_agent_is_printed() {
    let echo = AgentSpec::new("echo", "Echoes.").handler(|text: String| async move { text });
    let mesh = TestMesh::start([echo]).await;
    let mut listen = mesh.start_oam(&["mesh", "listen", "mesh.agent.echo", "--json"]);
    let line = within_deadline("a request", async {
        loop {
            let _: String = mesh.client.call("echo", "hello").await.unwrap();
            if let Some(line) = listen.line_within(Duration::from_millis(50)).await {
                return line;
            }
        }
    });
    let request: Value = serde_json::from_str(&line.await).unwrap();
    assert_eq!(request["subject"], "mesh.agent.echo");
    assert_eq!(request["body"], "hello");
    assert!(request["headers"]["X-Mesh-Request-Id"].is_string());
    assert_eq!(
        request["request_id"],
        request["headers"]["X-Mesh-Request-Id"]
    );
    assert!(request["reply"].is_string());
    listen.signal("-KILL");
    assert_eq!(listen.end().await.0.signal(), Some(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_has_a_short_id_and_its_headers_on_request() {
    let mesh = TestMesh::start([]).await;
    let nats = async_nats::connect(&mesh.url).await.unwrap();
    let mut listen = mesh.start_oam(&["mesh", "listen", "test.>", "--headers"]);
    until_subscribed(&mesh, &mut listen, "test.ready", json!("?")).await;
    let mut headers = HeaderMap::new();
    headers.insert("X-Mesh-Request-Id", "0123456789abcdef");
    headers.insert("Note", "red \u{9b}31m");
    nats.publish_with_headers("test.request", headers, "1".into())
        .await
        .unwrap();
    let mut lines = Vec::new();
    while lines.len() < 3 {
        let line = listen.line().await.unwrap();
        if !lines.is_empty() || line.contains("test.request") {
            lines.push(without_time(&line));
        }
    }
    lines[1..].sort();
    insta::assert_snapshot!(lines.join("\n"), @r"
    [time]  01234567  test.request  1
      Note: red \u{9b}31m
      X-Mesh-Request-Id: 0123456789abcdef
    ");
}

/// Publishes `message` until the command has ended.
async fn published_until_the_end(mesh: &TestMesh, listen: &mut Running, subject: &str) {
    let publishing = async {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        loop {
            interval.tick().await;
            mesh.client.publish(subject, 1).await.unwrap();
        }
    };
    let (status, stderr) = tokio::select! {
        ended = listen.end() => ended,
        () = publishing => unreachable!(),
    };
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_with_a_count_ends_after_it() {
    let mesh = TestMesh::start([]).await;
    for arguments in [&["-n", "2"][..], &["--count", "2", "--json"]] {
        let command = [&["mesh", "listen", "test.count"], arguments].concat();
        let mut listen = mesh.start_oam(&command);
        published_until_the_end(&mesh, &mut listen, "test.count").await;
        assert!(listen.line().await.is_some());
        assert!(listen.line().await.is_some());
        assert_eq!(listen.line().await, None);
    }
    for count in ["0", "-1", "x"] {
        let command = ["mesh", "listen", "test.count", &format!("--count={count}")];
        mesh.oam(&command)
            .assert_failure(&command, 2, &["write a whole number above 0"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn note_about_replies_is_printed_where_it_is_true() {
    let mesh = TestMesh::start([]).await;
    for (subject, has_note) in [
        ("mesh.agent.>", true),
        ("mesh.>", true),
        ("*.*.echo", true),
        ("mesh.agent.echo", true),
        ("mesh.agent.echo.events", false),
        ("mesh.errors.>", false),
        (">", false),
        ("_INBOX.>", false),
        ("test.a", false),
    ] {
        let command = ["mesh", "listen", subject, "--timeout", "200ms", "-n", "1"];
        let (_, seen) = mesh.oam_in_terminal(&command);
        assert_eq!(
            seen.contains("replies are not shown"),
            has_note,
            "{subject}: {seen}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quiet_subject_is_timeout() {
    let mesh = TestMesh::start([]).await;
    let command = ["mesh", "listen", "nothing.here", "--timeout", "0.2"];
    mesh.oam(&command)
        .assert_failure(&command, 124, &["error[timeout]"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_ends_the_command() {
    let ticks = AgentSpec::new("ticks", "Publishes every 20 ms.").handler(|| {
        let interval = tokio::time::interval(Duration::from_millis(20));
        stream::unfold(interval, |mut interval| async move {
            interval.tick().await;
            Some(("tick", interval))
        })
    });
    let mesh = TestMesh::start([ticks]).await;
    for subject in ["mesh.agent.>", "nothing.here"] {
        let mut listen = mesh.start_oam(&["mesh", "listen", subject]);
        listen.close_stdout();
        let (status, stderr) = listen.end().await;
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""), "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_subject_is_rejected() {
    let mesh = TestMesh::start([]).await;
    for (subject, fragments) in [
        ("a..b", &["error[invalid_input]", "'a..b'", "empty"][..]),
        ("a.>.b", &["error[invalid_input]", "'a.>.b'"]),
    ] {
        let command = ["mesh", "listen", subject];
        mesh.oam(&command).assert_failure(&command, 2, fragments);
    }
}
