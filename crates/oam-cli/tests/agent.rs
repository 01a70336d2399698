//! `oam agent` and `oam mesh catalog` on a mesh with agents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Served;
use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentSpec, agent, agents};
use serde_json::Value;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Sum {
    /// The numbers to add.
    #[schemars(length(min = 1))]
    numbers: Vec<f64>,
}

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    format!("Echo: {message}")
}

/// Adds numbers.
#[agent(channel = "math", tags = ["numbers"])]
async fn sum(input: Sum) -> f64 {
    input.numbers.iter().sum()
}

/// Always fails.
#[agent]
async fn broken() -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

async fn served() -> Served {
    Served::start(agents![echo, sum, broken]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_called_with_an_argument_or_with_stdin() {
    let served = served().await;
    let ran = served.oam(&["agent", "call", "echo", "\"hello\""]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "\"Echo: hello\"\n"),
        "{ran:?}"
    );
    let ran = served.oam_with_stdin(&["agent", "call", "math.sum"], "{\"numbers\": [1, 2.5]}\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "3.5\n"), "{ran:?}");
    let ran = served.oam_with_stdin(&["agent", "call", "echo", "-"], "\"piped\"");
    assert_eq!(ran.stdout, "\"Echo: piped\"\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_json_fails_before_anything_is_sent() {
    let served = served().await;
    let ran = served.oam(&["agent", "call", "echo", "hello"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("error[invalid_input]: the payload is not JSON"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("oam agent call echo '\"hello\"'"),
        "{ran:?}"
    );
    // Not even the mesh is looked for.
    let ran = served
        .sandbox
        .oam(&["agent", "call", "echo", "{", "--url", "nats://127.0.0.9:9"]);
    assert_eq!(ran.code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_code_and_a_hint() {
    let served = served().await;
    for (arguments, code, expected) in [
        (
            &["agent", "call", "nosuch", "1"][..],
            1,
            "error[not_found]: agent 'nosuch' not found",
        ),
        (
            &["agent", "contract", "nosuch"],
            1,
            "oam mesh catalog lists the agents",
        ),
        (
            &["agent", "call", "broken"],
            1,
            "error[handler_error]: the disk is full",
        ),
        (
            &["agent", "call", "math.sum", "{\"numbers\": []}"],
            1,
            "  /numbers: [] has less than 1 item",
        ),
        (
            &["agent", "call", "math.sum", "{}"],
            1,
            "oam agent contract math.sum shows the input",
        ),
        (
            &["agent", "call", "no spaces", "1"],
            2,
            "segment 'no spaces' has the character ' '",
        ),
        (
            &["agent", "call", "echo", "1", "--timeout", "0"],
            2,
            "a number of seconds above 0",
        ),
        (&["agent", "shout", "echo"], 2, "unrecognized subcommand"),
    ] {
        let ran = served.oam(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_agent_times_out() {
    let served = served().await;
    let spec = AgentSpec::new("slow", "Never answers.");
    served
        .mesh
        .register(spec.handler(std::future::pending::<u32>))
        .await
        .unwrap();
    let ran = served.oam(&["agent", "call", "slow", "--timeout", "0.2"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr
            .contains("error[timeout]: agent 'slow' did not answer within 200ms"),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_is_a_table_or_json() {
    let served = served().await;
    let ran = served.oam(&["mesh", "catalog"]);
    insta::assert_snapshot!(ran.stdout, @r"
    NAME      USE   TAGS     DESCRIPTION
    broken    call           Always fails.
    echo      call           Echoes a message back.
    math.sum  call  numbers  Adds numbers.
    ");
    let ran = served.oam(&["mesh", "catalog", "--channel", "math", "--json"]);
    let entries: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["name"], "math.sum");
    let ran = served.oam(&["mesh", "catalog", "--tag", "nosuch"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("none of the 3 agents"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contract_is_the_document_of_the_registry() {
    let served = served().await;
    let ran = served.oam(&["agent", "contract", "math.sum"]);
    let contract: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(contract["x-agentmesh"]["subject"], "mesh.agent.math.sum");
    let numbers = &contract["skills"][0]["inputSchema"]["properties"]["numbers"];
    assert_eq!(numbers["description"], "The numbers to add.");
    assert_eq!(numbers["minItems"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_enough_is_no_error() {
    let served = served().await;
    let mut command = served
        .sandbox
        .command(&["mesh", "catalog", "--json", "--url", &served.url]);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
