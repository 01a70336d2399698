//! `oam agent contract`: each format, and the options that fit it.

use std::collections::HashMap;

use futures::{Stream, stream};
use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentSpec, agent, agents};
use serde_json::{Value, json};

use crate::provider_rules::{Form, checked};
use crate::support::TestMesh;

#[derive(Deserialize, JsonSchema)]
struct Text {
    /// The text to analyze.
    #[schemars(length(min = 1))]
    text: String,
    language: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Counts {
    words: usize,
}

/// Counts the words of a text.
#[agent(channel = "text", tags = ["text", "numbers"], version = "1.2.0")]
async fn count(input: Text) -> Counts {
    Counts {
        words: input.text.len() + input.language.map_or(0, |language| language.len()),
    }
}

/// Counts to a number.
#[agent]
fn counter(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Publishes nothing.
#[agent]
fn ticker() -> impl Stream<Item = u32> {
    stream::pending()
}

/// Does nothing.
#[agent]
async fn idle() {
    std::future::pending().await
}

/// Answers without input.
#[agent]
async fn trigger() -> u8 {
    42
}

/// Takes anything.
#[agent]
async fn anything(input: HashMap<String, String>) -> usize {
    input.len()
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![count, counter, ticker, idle, trigger, anything]).await
}

fn parsed(mesh: &TestMesh, arguments: &[&str]) -> Value {
    let output = mesh.oam(&[&["agent", "contract"], arguments].concat());
    assert_eq!(output.code, 0, "{arguments:?}: {output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_format_describes_input_and_output() {
    let mesh = start_mesh().await;
    let text = |name: &str| {
        let output = mesh.oam(&["agent", "contract", name, "--format", "text"]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{name}");
        output.stdout
    };
    insta::assert_snapshot!(text("text.count"), @r#"
    text.count
    Counts the words of a text.

    Version       1.2.0
    Tags          text, numbers
    Use           oam agent call text.count JSON

    Takes
    {
      "type": "object",
      "properties": {
        "text": {
          "type": "string",
          "description": "The text to analyze.",
          "minLength": 1
        },
        "language": {
          "type": [
            "string",
            "null"
          ]
        }
      },
      "required": [
        "text"
      ],
      "title": "Text"
    }

    Gives
    {
      "type": "object",
      "properties": {
        "words": {
          "type": "integer",
          "format": "uint",
          "minimum": 0
        }
      },
      "required": [
        "words"
      ],
      "title": "Counts"
    }
    "#);
    insta::assert_snapshot!(text("counter"), @r#"
    counter
    Counts to a number.

    Version       0.1.0
    Use           oam agent stream counter JSON

    Takes
    {
      "type": "integer",
      "format": "uint32",
      "minimum": 0
    }

    Gives, one by one
    {
      "type": "integer",
      "format": "uint32",
      "minimum": 0
    }
    "#);
    insta::assert_snapshot!(text("trigger"), @r#"
    trigger
    Answers without input.

    Version       0.1.0
    Use           oam agent call trigger

    Takes
    nothing

    Gives
    {
      "type": "integer",
      "format": "uint8",
      "minimum": 0,
      "maximum": 255
    }
    "#);
    insta::assert_snapshot!(text("idle"), @r"
    idle
    Does nothing.

    Version       0.1.0
    Use           none: it works in the background
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_format_is_the_document_of_the_registry() {
    let mesh = start_mesh().await;
    let document = parsed(&mesh, &["text.count"]);
    assert_eq!(document["x-agentmesh"]["subject"], "mesh.agent.text.count");
    let text = &document["skills"][0]["inputSchema"]["properties"]["text"];
    assert_eq!(text["description"], "The text to analyze.");
    assert_eq!(text["minLength"], 1);
    assert_eq!(document, parsed(&mesh, &["text.count", "--format", "json"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tool_formats_are_tool_definitions() {
    let mesh = start_mesh().await;
    let tool = parsed(&mesh, &["text.count", "--format", "openai"]);
    assert_eq!(tool["type"], "function");
    assert_eq!(tool["function"]["name"], "text_count");
    assert_eq!(tool["function"].get("strict"), None);
    let parameters = &tool["function"]["parameters"];
    assert_eq!(parameters["properties"]["text"]["minLength"], 1);

    let tool = parsed(&mesh, &["text.count", "--format", "openai", "--strict"]);
    assert_eq!(tool["function"]["strict"], true);
    let parameters = &tool["function"]["parameters"];
    assert_eq!(parameters["required"], json!(["language", "text"]));
    assert_eq!(parameters["additionalProperties"], false);
    assert_eq!(parameters["properties"]["text"].get("minLength"), None);
    checked(Form::OpenAiChatStrict, tool);

    let tool = parsed(&mesh, &["counter", "--format", "anthropic"]);
    assert_eq!(tool["name"], "counter");
    assert_eq!(tool["description"], "Counts to a number.");
    assert_eq!(tool["input_schema"]["required"], json!(["input"]));
    checked(Form::Anthropic, tool);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2a_format_is_an_agent_card() {
    let mesh = start_mesh().await;
    let url = "https://mesh.example/agents/text.count";
    let arguments = ["text.count", "--format", "a2a", "--agent-url", url];
    let card = parsed(&mesh, &arguments);
    assert_eq!(card["url"], url);
    assert_eq!(card["version"], "1.2.0");
    assert_eq!(card["skills"][0]["tags"], json!(["text", "numbers"]));
    assert_eq!(card.get("x-agentmesh"), None);
    assert_eq!(card["supportedInterfaces"][0]["url"], url);
    assert_eq!(card["supportedInterfaces"][0]["protocolVersion"], "1.0");

    let output = mesh.oam(&["agent", "contract", "text.count", "--format", "a2a"]);
    let card: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(card["url"], "https://gateway.invalid/text.count");
    assert!(
        output.stderr.contains("--agent-url URL sets the URL"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn option_or_agent_that_does_not_fit_is_rejected() {
    let mesh = start_mesh().await;
    let long = format!("long.{}", "x".repeat(70));
    let spec = AgentSpec::new(&long, "Has a long name.");
    mesh.client
        .register(spec.handler(|| async { 1 }))
        .await
        .unwrap();
    for (arguments, code, fragments) in [
        (
            &["text.count", "--strict"][..],
            2,
            &[
                "--strict requires --format openai",
                "  hint: add --format openai, or leave",
            ][..],
        ),
        (
            &["text.count", "--format", "anthropic", "--strict"],
            2,
            &["--strict requires --format openai"],
        ),
        (
            &["text.count", "--agent-url", "https://mesh.example"],
            2,
            &["--agent-url requires --format a2a"],
        ),
        (
            &["text.count", "--format", "yaml"],
            2,
            &["openai, anthropic"],
        ),
        (
            &["ticker", "--format", "openai"],
            1,
            &[
                "error[invocation_mismatch]: agent 'ticker' cannot be a tool",
                "  hint: oam agent subscribe ticker",
            ],
        ),
        (
            &["idle", "--format", "anthropic"],
            1,
            &["oam mesh catalog --invocable"],
        ),
        (
            &["ticker", "--format", "a2a"],
            1,
            &[
                "error[invocation_mismatch]: agent 'ticker' cannot be a tool",
                "  hint: oam agent subscribe ticker",
            ],
        ),
        (
            &["anything", "--format", "openai", "--strict"],
            1,
            &[
                "agent 'anything' cannot be strict: the input itself allows properties",
                "  hint: leave --strict out",
            ],
        ),
        (
            &[&long, "--format", "openai"],
            1,
            &["error[invalid_input]", &long, "64 characters"],
        ),
        (
            &["nosuch", "--format", "text"],
            5,
            &[
                "error[not_found]",
                "'nosuch'",
                "oam mesh catalog lists the agents",
            ],
        ),
        (&["no spaces"], 2, &["error[invalid_input]", "'no spaces'"]),
    ] {
        let command = [&["agent", "contract"], arguments].concat();
        mesh.oam(&command).assert_failure(&command, code, fragments);
    }
}
