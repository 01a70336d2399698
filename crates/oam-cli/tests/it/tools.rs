//! `oam tools`: all agents as tools in one document, in each form.

use std::collections::HashMap;

use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::Deserialize;
use openagentmesh::{AgentSpec, agent, agents};
use serde_json::{Value, json};

use crate::provider_rules::{Form, checked};
use crate::support::TestMesh;

#[derive(Deserialize, JsonSchema)]
struct Text {
    text: String,
    language: Option<String>,
}

/// Counts the words of a text.
#[agent(channel = "text", tags = ["text"])]
async fn count(input: Text) -> usize {
    input.text.len() + input.language.map_or(0, |language| language.len())
}

/// Takes anything.
#[agent]
async fn anything(input: HashMap<String, String>) -> usize {
    input.len()
}

/// Does nothing.
#[agent]
async fn idle() {
    std::future::pending().await
}

async fn start_mesh() -> TestMesh {
    let mesh = TestMesh::start(agents![count, anything, idle]).await;
    // Its tool would have the name of that of `text.count`.
    let similar = AgentSpec::new("text_count", "Counts, too.").handler(|| async { 1 });
    mesh.client.register(similar).await.unwrap();
    mesh
}

fn document(mesh: &TestMesh, arguments: &[&str]) -> Value {
    let output = mesh.oam(&[&["tools"], arguments].concat());
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (0, ""),
        "{arguments:?}"
    );
    serde_json::from_str(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_all_agents_are_printed_with_their_agents() {
    let mesh = start_mesh().await;
    for (format, form, name) in [
        ("openai", Form::OpenAiChat, "/function/name"),
        ("openai-responses", Form::OpenAiResponses, "/name"),
        ("anthropic", Form::Anthropic, "/name"),
        ("neutral", Form::Neutral, "/name"),
    ] {
        let document = document(&mesh, &["--format", format]);
        let tools = document["tools"].as_array().unwrap();
        let mut agents: Vec<&str> = Vec::new();
        for tool in tools {
            let tool = checked(form, tool.clone());
            let name = tool.pointer(name).unwrap().as_str().unwrap();
            agents.push(document["agents"][name].as_str().unwrap());
        }
        assert_eq!(agents, ["anything", "text.count", "text_count"], "{format}");
        assert_eq!(document.get("skipped"), None);
    }
    assert_eq!(
        document(&mesh, &[]),
        document(&mesh, &["--format", "openai"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_with_a_long_name_has_a_short_unique_one() {
    let mesh = start_mesh().await;
    let names = ["a", "b"].map(|last| format!("long.{}.{last}", "x".repeat(70)));
    for name in &names {
        let agent = AgentSpec::new(name, "Has a long name.").handler(|| async { 1 });
        mesh.client.register(agent).await.unwrap();
    }
    for format in ["openai", "openai-responses", "anthropic", "neutral"] {
        let document = document(&mesh, &["--format", format]);
        let tools = document["agents"].as_object().unwrap();
        let long = tools
            .iter()
            .filter(|(_, agent)| names.iter().any(|name| *agent == name));
        let long: Vec<_> = long.map(|(tool, _)| tool.len()).collect();
        assert_eq!(long, [64, 64], "{format}: {document}");
        assert_eq!(document.get("skipped"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_tools_are_strict_except_for_those_listed() {
    let mesh = start_mesh().await;
    for (format, strict) in [
        ("openai", "/function/strict"),
        ("openai-responses", "/strict"),
    ] {
        let document = document(&mesh, &["--format", format, "--strict"]);
        let reason = document["not_strict"]["anything"].as_str().unwrap();
        assert!(reason.contains("cannot be strict"), "{reason}");
        let tools = document["tools"].as_array().unwrap().iter();
        let is_strict = tools.map(|tool| tool.pointer(strict) == Some(&json!(true)));
        assert_eq!(is_strict.collect::<Vec<_>>(), [false, true, true]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_select_agents_and_options_that_do_not_fit_are_rejected() {
    let mesh = start_mesh().await;
    for filter in [&["--channel", "text"][..], &["--tag", "text"]] {
        let document = document(&mesh, filter);
        assert_eq!(document["agents"], json!({"text_count": "text.count"}));
    }
    let output = mesh.oam(&["tools", "--channel", "nosuch"]);
    assert_eq!(output.code, 0);
    assert!(
        output
            .stderr
            .contains("no agent that answers requests matches")
    );
    let strict = ["tools", "--format", "anthropic", "--strict"];
    mesh.oam(&strict)
        .assert_failure(&strict, 2, &["--strict requires --format openai"]);
}
