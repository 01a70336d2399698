//! The published SDKs against the conformance kit: they fail in the listed rules only.

use std::time::Duration;

use interop::{Peer, PeerError, Sdk};
use openagentmesh_conform::{
    AgentName, CallerCheck, Expected, HostCheck, Mesh, Report, Role, Settings,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::common::{TestMesh, python_lists, within};

interop::with_each_sdk!(
    python_host_fails_only_in_the_listed_rules,
    python_caller_fails_only_in_the_listed_rules,
);

/// Waits that suit a machine under load.
const SETTINGS: Settings = Settings {
    answer_timeout: Duration::from_secs(10),
    quiet_time: Duration::from_millis(500),
};
/// The limits of a host that starts and leaves, and of all steps of a caller.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const LEAVING_TIMEOUT: Duration = Duration::from_secs(30);
const CHECK_TIMEOUT: Duration = Duration::from_secs(120);

/// The agents of the host, one of each shape, and an input where the generated one is not valid.
const AGENTS: [(&str, Option<&str>); 5] = [
    ("nlp.summarizer", None),
    ("noon", None),
    ("nlp.pieces", Some("\"one two three four five\"")),
    ("news.local", None),
    ("sentry", None),
];

fn expected(sdk: Sdk, role: Role) -> Expected {
    let text = match (sdk, role) {
        (Sdk::V0_1_5, Role::Host) => include_str!("conformance/0.1.5.host.txt"),
        (Sdk::V0_1_5, Role::Caller) => include_str!("conformance/0.1.5.caller.txt"),
        (Sdk::V0_2_0, Role::Host) => include_str!("conformance/0.2.0.host.txt"),
        (Sdk::V0_2_0, Role::Caller) => include_str!("conformance/0.2.0.caller.txt"),
    };
    Expected::parse(text, role).unwrap()
}

fn assert_expected(sdk: Sdk, report: &Report) {
    let surprises = expected(sdk, report.role()).compare(report);
    assert!(surprises.is_empty(), "{sdk}: {surprises:#?}");
}

async fn kit(test: &TestMesh) -> Mesh {
    Mesh::connect(test.server.url(), None).await.unwrap()
}

async fn python_host_fails_only_in_the_listed_rules(sdk: Sdk) {
    let test = TestMesh::start().await;
    // The first peer creates the buckets.
    let _first = test.python_peer(sdk).await;
    let mesh = kit(&test).await;
    let mut whole: Option<Report> = None;
    for (name, input) in AGENTS {
        let report = host_report(&test, &mesh, sdk, name, input).await;
        match &mut whole {
            Some(whole) => whole.merge(report),
            None => whole = Some(report),
        }
    }
    assert_expected(sdk, &whole.unwrap());
}

/// The report about a host of one agent, which starts and leaves while it is checked.
async fn host_report(
    test: &TestMesh,
    mesh: &Mesh,
    sdk: Sdk,
    name: &str,
    input: Option<&str>,
) -> Report {
    let (prompt, mut prompts) = mpsc::unbounded_channel();
    let mut check = HostCheck::new(AgentName::new(name).unwrap())
        .settings(SETTINGS)
        .await_registration(START_TIMEOUT)
        .await_leaving(LEAVING_TIMEOUT)
        .on_prompt(move |text| prompt.send(text.to_owned()).unwrap());
    if let Some(input) = input {
        check = check.input(serde_json::from_str(input).unwrap());
    }
    let playing = async {
        prompts.recv().await.unwrap();
        let mut python = test.python_host(sdk, &[name]).await;
        let stop = prompts.recv();
        if name == "news.local" {
            // Events are published until the kit has read some.
            let mut stop = std::pin::pin!(stop);
            while futures::poll!(&mut stop).is_pending() {
                let events = json!({"name": name, "texts": ["one"]});
                python.ask("emit", events).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        } else {
            stop.await.unwrap();
        }
        python.ask("leave", json!({})).await.unwrap();
    };
    let (report, ()) = futures::join!(check.run(mesh), playing);
    report.unwrap()
}

async fn python_caller_fails_only_in_the_listed_rules(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let mesh = kit(&test).await;
    let (prompt, mut prompts) = mpsc::unbounded_channel();
    let check = CallerCheck::new()
        .settings(SETTINGS)
        .timeout(CHECK_TIMEOUT)
        .on_prompt(move |text| prompt.send(text.to_owned()).unwrap());
    let calling = async {
        prompts.recv().await.unwrap();
        python_lists(&mut python, &["conform.report", "conform.ticks"]).await;
        do_steps(&mut python).await;
        std::future::pending().await
    };
    let report = check.run_until(&mesh, calling).await.unwrap();
    assert_expected(sdk, &report);
}

/// The result, or the code of the exception.
fn seen(result: Result<Value, PeerError>) -> Value {
    match result {
        Ok(value) => value,
        Err(PeerError::Raised { raised, .. }) => json!(raised.code.unwrap_or(raised.class)),
        Err(other) => panic!("{other}"),
    }
}

async fn report(python: &mut Peer, step: &str, seen: Value) {
    let payload = json!({"step": step, "seen": seen});
    let report = json!({"name": "conform.report", "payload": payload});
    python.ask("call", report).await.unwrap();
}

async fn do_steps(python: &mut Peer) {
    let text = json!({"text": "hello"});
    for step in ["echo", "fail", "lower", "absent", "slow"] {
        let arguments = json!({"name": format!("conform.{step}"), "payload": text});
        let outcome = seen(python.ask("call", arguments).await);
        report(python, step, outcome).await;
    }
    for (step, to) in [("count", 300), ("gap", 5), ("stumble", 2)] {
        let arguments = json!({"name": format!("conform.{step}"), "payload": {"to": to}});
        let outcome = seen(python.ask("stream", arguments).await);
        let outcome = match outcome.as_array() {
            Some(chunks) => json!(chunks.len()),
            None => outcome,
        };
        report(python, step, outcome).await;
    }
    let events = json!({"key": "ticks", "agent": "conform.ticks"});
    python.ask("open_events", events).await.unwrap();
    let taken = python
        .ask("take", json!({"key": "ticks", "count": 3}))
        .await
        .unwrap();
    report(
        python,
        "ticks",
        json!(taken["items"].as_array().unwrap().len()),
    )
    .await;
    let arguments = json!({"name": "conform.endless", "count": 3, "payload": {"to": 0}});
    python.ask("break_stream", arguments).await.unwrap();
    // The agent does not answer: the command fails after its timeout.
    let never = json!({"name": "conform.never", "payload": text});
    drop(within(python.ask("call", never)).await);
    let note = json!({"name": "conform.note", "payload": text, "subject": "conform.replies"});
    python.ask("send_to", note).await.unwrap();
}
