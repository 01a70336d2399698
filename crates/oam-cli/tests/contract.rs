//! `oam agent contract`: what an agent takes and gives, for people, programs and models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;

use common::Served;
use futures::{Stream, stream};
use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentSpec, agent, agents};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
struct Text {
    /// The text to look at.
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
async fn keeper() {
    std::future::pending().await
}

/// Answers what nobody asked.
#[agent]
async fn trigger() -> u8 {
    42
}

/// Takes anything.
#[agent]
async fn anything(input: HashMap<String, String>) -> usize {
    input.len()
}

async fn served() -> Served {
    Served::start(agents![count, counter, ticker, keeper, trigger, anything]).await
}

fn parsed(served: &Served, arguments: &[&str]) -> Value {
    let ran = served.oam(&[&["agent", "contract"], arguments].concat());
    assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_read_a_contract_as_text() {
    let served = served().await;
    let text = |name: &str| {
        let ran = served.oam(&["agent", "contract", name, "--format", "text"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        ran.stdout
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
          "description": "The text to look at.",
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
    Answers what nobody asked.

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
    insta::assert_snapshot!(text("keeper"), @r"
    keeper
    Does nothing.

    Version       0.1.0
    Use           none: it works in the background
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_read_the_document_of_the_registry() {
    let served = served().await;
    let document = parsed(&served, &["text.count"]);
    assert_eq!(document["x-agentmesh"]["subject"], "mesh.agent.text.count");
    assert_eq!(
        document,
        parsed(&served, &["text.count", "--format", "json"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_get_a_tool() {
    let served = served().await;
    let tool = parsed(&served, &["text.count", "--format", "openai"]);
    assert_eq!(tool["type"], "function");
    assert_eq!(tool["function"]["name"], "text_count");
    assert_eq!(tool["function"].get("strict"), None);
    let parameters = &tool["function"]["parameters"];
    assert_eq!(parameters["properties"]["text"]["minLength"], 1);

    let tool = parsed(&served, &["text.count", "--format", "openai", "--strict"]);
    assert_eq!(tool["function"]["strict"], true);
    let parameters = &tool["function"]["parameters"];
    assert_eq!(parameters["required"], json!(["language", "text"]));
    assert_eq!(parameters["additionalProperties"], false);
    assert_eq!(parameters["properties"]["text"].get("minLength"), None);

    let tool = parsed(&served, &["counter", "--format", "anthropic"]);
    assert_eq!(tool["name"], "counter");
    assert_eq!(tool["description"], "Counts to a number.");
    assert_eq!(tool["input_schema"]["required"], json!(["input"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_outside_the_mesh_get_a_card() {
    let served = served().await;
    let url = "https://mesh.example/agents/text.count";
    let arguments = ["text.count", "--format", "a2a", "--agent-url", url];
    let card = parsed(&served, &arguments);
    assert_eq!(card["url"], url);
    assert_eq!(card["version"], "1.2.0");
    assert_eq!(card["skills"][0]["tags"], json!(["text", "numbers"]));
    assert_eq!(card.get("x-agentmesh"), None);

    let ran = served.oam(&["agent", "contract", "text.count", "--format", "a2a"]);
    let card: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(card["url"], "https://gateway.invalid/text.count");
    assert!(ran.stderr.contains("--agent-url URL says where"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused() {
    let served = served().await;
    let long = format!("long.{}", "x".repeat(70));
    let spec = AgentSpec::new(&long, "Has a long name.");
    served
        .mesh
        .register(spec.handler(|| async { 1 }))
        .await
        .unwrap();
    for (arguments, code, expected) in [
        (
            &["text.count", "--strict"][..],
            2,
            "--strict is for --format openai only\n  hint: add --format openai, or leave",
        ),
        (
            &["text.count", "--format", "anthropic", "--strict"],
            2,
            "--strict is for --format openai only",
        ),
        (
            &["text.count", "--agent-url", "https://mesh.example"],
            2,
            "--agent-url is for --format a2a only",
        ),
        (&["text.count", "--format", "yaml"], 2, "openai, anthropic"),
        (
            &["ticker", "--format", "openai"],
            1,
            "error[invocation_mismatch]: agent 'ticker' cannot be a tool: it answers no requests\n  \
             hint: oam agent subscribe ticker",
        ),
        (
            &["keeper", "--format", "anthropic"],
            1,
            "oam mesh catalog --invocable",
        ),
        (
            &["anything", "--format", "openai", "--strict"],
            1,
            "cannot be strict: the input itself allows properties that the schema does not \
             name\n  hint: leave --strict out",
        ),
        (
            &[&long, "--format", "openai"],
            1,
            "longer than 64 characters",
        ),
        (
            &["nosuch", "--format", "text"],
            1,
            "error[not_found]: agent 'nosuch' not found",
        ),
        (&["no spaces"], 2, "has the character ' '"),
    ] {
        let ran = served.oam(&[&["agent", "contract"], arguments].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}
