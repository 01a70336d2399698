//! `oam conform`: reports, lists of expected failures and exit codes.

use std::time::Duration;

use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentMesh, agent, agents};
use serde_json::{Value, json};

use crate::support::{Running, TestMesh};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Text {
    text: String,
}

/// Echoes a text.
#[agent]
async fn echo(input: Text) -> Text {
    input
}

/// Returns the time.
#[agent]
async fn noon() -> String {
    "12:00".to_owned()
}

/// Always fails.
#[agent]
async fn broken() -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![echo, noon, broken]).await
}

/// A file of the sandbox.
fn file(mesh: &TestMesh, name: &str, text: &str) -> String {
    let path = mesh.sandbox.work().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_that_follows_the_rules_exits_with_0() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["conform", "host", "echo", "noon"]);
    assert_eq!(output.code, 0, "{output:?}");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[0], "required");
    assert!(lines.contains(&"extensions"), "{output:?}");
    let status = lines.iter().find(|line| line.contains(" reply-status "));
    let status = status.unwrap();
    assert!(status.starts_with("passed   reply-status"), "{status}");
    assert!(status.contains("A reply has the status ok"), "{status}");
    assert!(
        status.ends_with("/docs/protocol/calls.md#the-reply"),
        "{status}"
    );
    let summary = lines.last().unwrap();
    assert!(summary.starts_with("required: "), "{summary}");
    assert!(summary.contains(" 0 failed, "), "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_that_breaks_a_required_rule_exits_with_1() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["conform", "host", "broken", "--json"]);
    assert_eq!(output.code, 1, "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["role"], "host");
    assert_eq!(report["agents"], json!(["broken"]));
    assert_eq!(report["success"], false);
    assert_eq!(report["summary"]["required"]["failed"], 1);
    let rules = report["rules"].as_array().unwrap();
    let failed = |rule: &&Value| rule["outcome"] == "failed";
    let failed: Vec<_> = rules.iter().filter(failed).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["id"], "call-answered");
    assert_eq!(failed[0]["requirement"], "required");
    let reason = failed[0]["reason"].as_str().unwrap();
    assert!(reason.contains("the disk is full"), "{reason}");
    let page = failed[0]["page"].as_str().unwrap();
    assert!(page.ends_with("docs/protocol/calls.md#the-reply"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_expected_failures_is_strict() {
    let mesh = start_mesh().await;
    let listed = "# known\ncall-answered: the disk is full\n";
    let listed = file(&mesh, "listed.txt", listed);
    let output = mesh.oam(&["conform", "host", "broken", "--expected", &listed]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("(expected: the disk is full)"));

    let output = mesh.oam(&["conform", "host", "noon", "--expected", &listed]);
    assert_eq!(output.code, 1, "{output:?}");
    let surprise = "listed pass: call-answered; remove its line from the list";
    assert!(output.stdout.contains(surprise), "{output:?}");

    let empty = file(&mesh, "empty.txt", "");
    let output = mesh.oam(&["conform", "host", "broken", "--expected", &empty]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("unlisted failure: call-answered"));

    let invalid = file(&mesh, "invalid.txt", "no-such-rule: reason\n");
    let command = ["conform", "host", "noon", "--expected", &invalid];
    let output = mesh.oam(&command);
    output.assert_failure(&command, 2, &["line 1", "'no-such-rule'"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_agent_and_invalid_arguments_are_errors() {
    let mesh = start_mesh().await;
    for (command, code, fragment) in [
        (&["conform", "host", "nothing"][..], 5, "error[not_found]"),
        (&["conform", "host", "a b"], 2, "a b"),
        (&["conform", "host", "noon", "--input", "{"], 2, "--input"),
        (
            &["conform", "host", "noon", "echo", "--input", "1"],
            2,
            "give one NAME",
        ),
        (
            &["conform", "caller", "--expected", "/nothing"],
            2,
            "/nothing",
        ),
    ] {
        mesh.oam(command).assert_failure(command, code, &[fragment]);
    }
}

/// The lines of stdout until the end of the command, and its exit code.
async fn rest(mut command: Running) -> (String, Option<i32>) {
    let mut stdout = String::new();
    while let Some(line) = command.line().await {
        stdout += &line;
        stdout.push('\n');
    }
    (stdout, command.end().await.0.code())
}

/// Waits until the kit has registered its agents.
async fn kit_is_listed(client: &AgentMesh) {
    let listed = async {
        while client.contract("conform.echo").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    crate::support::within_deadline("agents of the kit", listed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_check_of_a_caller_prints_its_report() {
    let mesh = start_mesh().await;
    let command = mesh.start_oam(&["conform", "caller", "--json"]);
    kit_is_listed(&mesh.client).await;
    let text = json!({"text": "hello"});
    let reply: Value = mesh.client.call("conform.echo", &text).await.unwrap();
    assert_eq!(reply, text);
    command.signal("-INT");
    let (stdout, code) = rest(command).await;
    assert_eq!(code, Some(0), "{stdout}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["role"], "caller");
    let rules = report["rules"].as_array().unwrap();
    let outcome = |id: &str| {
        let rule = rules.iter().find(|rule| rule["id"] == id);
        rule.unwrap()["outcome"].clone()
    };
    assert_eq!(outcome("request-id"), "passed");
    assert_eq!(outcome("outcome-reply"), "skipped");
    let error = mesh.client.contract("conform.echo").await.unwrap_err();
    assert_eq!(error.code(), "not_found");
}
