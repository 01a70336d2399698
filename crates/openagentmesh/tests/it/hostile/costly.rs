//! One message that costs much takes a bounded time and memory, while other callers are served.

use std::time::{Duration, Instant};

use super::process::HostProcess;
use crate::support::TestMesh;
use async_nats::Client;
use bytes::Bytes;
use futures::future::join_all;
use openagentmesh::AgentMesh;
use serde_json::Value;

/// The time for all answers of one row, in the debug profile on a shared machine.
const ANSWERED_TIMEOUT: Duration = Duration::from_secs(120);

/// MiB by which the memory of a host may differ from before, once it has answered.
const MAX_GROWTH_MIB: u64 = 32;

/// One body, sent several times at once.
struct Row {
    name: &'static str,
    agent: &'static str,
    body: fn() -> String,
    at_once: usize,
    /// The allowed answers: the code of an error, or `ok`.
    answers: &'static [&'static str],
    /// MiB by which the memory of the host may grow while it works.
    max_peak_mib: u64,
}

fn list(item: &str, count: usize) -> String {
    format!("[{}{item}]", format!("{item},").repeat(count - 1))
}

fn object(count: usize) -> String {
    let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":1")).collect();
    format!("{{{}}}", members.join(","))
}

const ROWS: &[Row] = &[
    Row {
        name: "100,000 wrong items",
        agent: "list",
        body: || list("1", 100_000),
        at_once: 1,
        answers: &["invalid_input"],
        max_peak_mib: 100,
    },
    Row {
        name: "500,000 wrong items",
        agent: "list",
        body: || list("1", 500_000),
        at_once: 1,
        answers: &["invalid_input"],
        max_peak_mib: 150,
    },
    Row {
        name: "4,000,000 wrong items",
        agent: "list",
        body: || list("1", 4_000_000),
        at_once: 1,
        answers: &["invalid_input", "payload_too_large"],
        max_peak_mib: 100,
    },
    Row {
        name: "100,000 wrong items, 64 at once",
        agent: "list",
        body: || list("1", 100_000),
        at_once: 64,
        answers: &["invalid_input"],
        max_peak_mib: 350,
    },
    Row {
        name: "500,000 wrong items, 16 at once",
        agent: "list",
        body: || list("1", 500_000),
        at_once: 16,
        answers: &["invalid_input"],
        max_peak_mib: 500,
    },
    Row {
        name: "4,000,000 wrong items, 8 at once",
        agent: "list",
        body: || list("1", 4_000_000),
        at_once: 8,
        answers: &["invalid_input", "payload_too_large"],
        max_peak_mib: 250,
    },
    Row {
        name: "empty lists of 8 MB",
        agent: "any",
        body: || list("[]", 2_600_000),
        at_once: 8,
        answers: &["payload_too_large"],
        max_peak_mib: 400,
    },
    Row {
        name: "objects with one key of 8 MB",
        agent: "any",
        body: || list("{\"\":1}", 1_000_000),
        at_once: 8,
        answers: &["payload_too_large"],
        max_peak_mib: 400,
    },
    Row {
        name: "object with 500,000 keys",
        agent: "any",
        body: || object(500_000),
        at_once: 8,
        answers: &["ok", "payload_too_large"],
        max_peak_mib: 400,
    },
    Row {
        name: "500,000 unknown keys",
        agent: "restricted",
        body: || object(500_000),
        at_once: 8,
        answers: &["invalid_input", "payload_too_large"],
        max_peak_mib: 400,
    },
    Row {
        name: "text of 8 MB for a short one",
        agent: "restricted",
        body: || format!("{{\"text\":\"{}\"}}", "x".repeat(8_000_000)),
        at_once: 8,
        answers: &["invalid_input"],
        max_peak_mib: 250,
    },
    Row {
        name: "4,000,000 numbers, checked",
        agent: "restricted",
        body: || format!("{{\"text\":\"a\",\"words\":{}}}", list("1", 4_000_000)),
        at_once: 8,
        answers: &["payload_too_large"],
        max_peak_mib: 250,
    },
];

/// Sends the body once; returns the code of the answer.
async fn answer(client: &Client, agent: &str, body: Bytes) -> String {
    let request = async_nats::Request::new()
        .payload(body)
        .timeout(Some(ANSWERED_TIMEOUT));
    let subject = format!("mesh.agent.{agent}");
    let reply = client.send_request(subject, request).await.unwrap();
    let headers = reply.headers.unwrap_or_default();
    match headers.get("X-Mesh-Status").map(|status| status.as_str()) {
        Some("error") => {
            let error: Value = serde_json::from_slice(&reply.payload).unwrap();
            if let Some(errors) = error["details"]["errors"].as_array() {
                assert!(errors.len() <= 21, "{} problems", errors.len());
            }
            assert!(reply.payload.len() < 32 * 1024, "{}", reply.payload.len());
            error["code"].as_str().unwrap().to_owned()
        }
        _ => "ok".to_owned(),
    }
}

/// Calls `echo` every few milliseconds.
async fn keep_calling(mesh: &AgentMesh) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
        assert_eq!(mesh.call::<String>("echo", "a").await.unwrap(), "a");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costly_message_takes_a_bounded_time_and_memory() {
    let test = TestMesh::start().await;
    let host = HostProcess::start(test.server.url()).await;
    let client = test.raw().await;
    for agent in ["echo", "list", "restricted", "any"] {
        let calls = (0..100).map(|_| answer(&client, agent, "[]".into()));
        join_all(calls).await;
    }
    let before = host.memory_mib();
    for row in ROWS {
        let body = Bytes::from((row.body)());
        host.reset_peak();
        let started = Instant::now();
        let answers = (0..row.at_once).map(|_| answer(&client, row.agent, body.clone()));
        let codes = tokio::select! {
            codes = join_all(answers) => codes,
            () = keep_calling(&test.mesh) => unreachable!(),
        };
        let (took, peak) = (started.elapsed(), host.peak_mib());
        let after = host.memory_returns(before + MAX_GROWTH_MIB, row.name).await;
        println!(
            "{}: {took:?}, {before} MiB before, {peak} at most, {after} after",
            row.name
        );
        for code in codes {
            assert!(row.answers.contains(&&*code), "{}: {code}", row.name);
        }
        assert!(
            peak <= before + row.max_peak_mib,
            "{}: {before} MiB before, peak {peak} MiB",
            row.name
        );
    }
    let errors = host.end().await;
    assert!(!errors.contains("panicked"), "{errors}");
}
