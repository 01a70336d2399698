//! Hosts and callers of the SDK follow every rule.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentMesh, Error, agent, agents};
use openagentmesh_conform::{CallerCheck, HostCheck, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{SETTINGS, TestMesh, failures, skips};

/// The limits of starting and stopping a host, and of all steps of a caller.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const CHECK_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    to: u32,
}

/// Echoes a text.
#[agent(channel = "own")]
async fn echo(input: Text) -> Text {
    if input.text == "slow" {
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    input
}

/// Returns a text.
#[agent(channel = "own")]
async fn noon() -> String {
    "12:00".to_owned()
}

/// Counts.
#[agent(channel = "own")]
fn count(input: Count) -> impl Stream<Item = u32> {
    stream::iter(0..input.to)
}

/// Ticks.
#[agent(channel = "own")]
fn ticks() -> impl Stream<Item = u32> {
    stream::unfold(0, async |number| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((number, number + 1))
    })
}

/// Watches.
#[agent(channel = "own")]
async fn watcher() {
    std::future::pending().await
}

/// The report about a host of the SDK that starts and leaves while it is checked.
async fn host_report(test: &TestMesh, name: &str, agent: [Agent; 1]) -> Report {
    let (prompt, mut prompts) = mpsc::unbounded_channel();
    let mut check = HostCheck::new(name.parse().unwrap())
        .settings(SETTINGS)
        .await_registration(START_TIMEOUT)
        .await_leaving(Duration::from_secs(5))
        .on_prompt(move |text| prompt.send(text.to_owned()).unwrap());
    if name == "own.echo" {
        check = check.slow_input(json!({"text": "slow"}));
    }
    let playing = async {
        prompts.recv().await.unwrap();
        let mesh = AgentMesh::connect(test.server.url()).await.unwrap();
        mesh.register(agent).await.unwrap();
        prompts.recv().await.unwrap();
        mesh.shutdown().await.unwrap();
    };
    let (report, ()) = futures::join!(check.run(&test.mesh), playing);
    report.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_the_sdk_pass_every_rule() {
    let test = TestMesh::start().await;
    let hosts = [
        ("own.echo", agents![echo]),
        ("own.noon", agents![noon]),
        ("own.count", agents![count]),
        ("own.ticks", agents![ticks]),
        ("own.watcher", agents![watcher]),
    ];
    let mut whole: Option<Report> = None;
    for (name, agent) in hosts {
        let report = host_report(&test, name, agent).await;
        assert_eq!(failures(&report), [], "{name}");
        match &mut whole {
            Some(whole) => whole.merge(report),
            None => whole = Some(report),
        }
    }
    assert_eq!(skips(&whole.unwrap()), []);
}

/// The value, or the code of the error.
fn seen(outcome: Result<Value, Error>) -> Value {
    outcome.unwrap_or_else(|error| json!(error.code().as_str()))
}

/// The number of chunks, or the code of the error.
async fn count_chunks(mesh: &AgentMesh, agent: &str, to: u64) -> Value {
    let mut chunks = mesh.stream::<u64>(agent, json!({"to": to})).await.unwrap();
    let mut count = 0;
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(_) => count += 1,
            Err(error) => return json!(error.code().as_str()),
        }
    }
    json!(count)
}

async fn do_steps(mesh: &AgentMesh) {
    let text = json!({"text": "hello"});
    let report = async |step: &str, seen: Value| {
        let report = json!({"step": step, "seen": seen});
        mesh.call::<Value>("conform.report", report).await.unwrap();
    };
    for step in ["echo", "fail", "lower", "absent", "slow"] {
        let outcome = mesh.call::<Value>(format!("conform.{step}"), &text).await;
        report(step, seen(outcome)).await;
    }
    for (step, to) in [("count", 300), ("gap", 5), ("stumble", 2)] {
        report(
            step,
            count_chunks(mesh, &format!("conform.{step}"), to).await,
        )
        .await;
    }
    let events = mesh.subscribe::<u64>("conform.ticks").await.unwrap();
    let events: Vec<_> = events.take(3).collect().await;
    let count = events.iter().filter(|event| event.is_ok()).count();
    report("ticks", json!(count)).await;
    let mut chunks = mesh
        .stream::<u64>("conform.endless", json!({"to": 0}))
        .await
        .unwrap();
    for _ in 0..3 {
        chunks.next().await.unwrap().unwrap();
    }
    drop(chunks);
    let never = mesh
        .call::<Value>("conform.never", &text)
        .timeout(Duration::from_secs(1));
    assert_eq!(seen(never.await), "timeout");
    mesh.send("conform.note", &text)
        .reply_to("conform.replies")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caller_of_the_sdk_passes_every_rule() {
    let test = TestMesh::start().await;
    let (prompt, mut prompts) = mpsc::unbounded_channel();
    let check = CallerCheck::new()
        .settings(SETTINGS)
        .timeout(CHECK_TIMEOUT)
        .on_prompt(move |text| prompt.send(text.to_owned()).unwrap());
    let calling = async {
        prompts.recv().await.unwrap();
        let mesh = AgentMesh::connect(test.server.url()).await.unwrap();
        do_steps(&mesh).await;
        std::future::pending().await
    };
    let report = check.run_until(&test.mesh, calling).await.unwrap();
    assert_eq!(failures(&report), []);
    assert_eq!(skips(&report), []);
}
