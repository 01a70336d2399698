//! Calls: replies and errors.

use std::time::Duration;

use crate::support::{TestMesh, echo, within};
use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentSpec, ErrorCode, agent, agents};
use serde_json::{Value, json};

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Summarize {
    /// The text to summarise.
    #[schemars(length(min = 1))]
    text: String,
    #[schemars(range(max = 100))]
    max_words: Option<u32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Summary {
    summary: String,
}

/// Summarises a text.
///
/// This paragraph is for readers of the code.
#[agent(name = "summarizer", channel = "nlp", tags = ["text", "summarization"], version = "1.0.0")]
async fn summarize(req: Summarize) -> Result<Summary, std::io::Error> {
    let words = req.max_words.unwrap_or(2) as usize;
    let summary = req
        .text
        .split(' ')
        .take(words)
        .collect::<Vec<_>>()
        .join(" ");
    if summary == "boom" {
        return Err(std::io::Error::other("boom"));
    }
    Ok(Summary { summary })
}

/// Answers without an input.
#[agent]
async fn answer() -> u32 {
    42
}

/// Takes any input and replies with nothing.
#[agent]
async fn swallow(_food: Value) {}

#[tokio::test]
async fn typed_and_untyped_calls_return_the_reply() {
    let test = TestMesh::start().await;
    test.mesh
        .register(agents![summarize, answer, swallow])
        .await
        .unwrap();
    let caller = test.peer().await;

    let input = Summarize {
        text: "one two three".to_owned(),
        max_words: None,
    };
    let summary: Summary = caller.call("nlp.summarizer", &input).await.unwrap();
    assert_eq!(
        summary,
        Summary {
            summary: "one two".to_owned()
        }
    );
    let value: Value = caller
        .call("nlp.summarizer", json!({"text": "x"}))
        .await
        .unwrap();
    assert_eq!(value, json!({"summary": "x"}));

    assert_eq!(caller.call::<u32>("answer", ()).await.unwrap(), 42);
    assert_eq!(
        caller.call::<Value>("swallow", json!([1])).await.unwrap(),
        json!({})
    );
    caller.call::<()>("swallow", json!([1])).await.unwrap();
}

#[tokio::test]
async fn function_with_agent_attribute_stays_callable() {
    assert_eq!(answer().await, 42);
    let input = Summarize {
        text: "a b c".to_owned(),
        max_words: Some(1),
    };
    assert_eq!(summarize(input).await.unwrap().summary, "a");
}

#[tokio::test]
async fn invalid_input_lists_every_problem_and_skips_the_handler() {
    let test = TestMesh::start().await;
    let spec = AgentSpec::new("strict", "Never runs in this test.");
    test.mesh
        .register(spec.handler(|_: Summarize| async { panic!("the handler ran") as u32 }))
        .await
        .unwrap();

    let input = json!({"text": "", "max_words": 101});
    let error = test.mesh.call::<Value>("strict", input).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert_eq!(error.agent(), Some("strict"));
    assert_eq!(locations(&error), ["/max_words", "/text"]);
    assert!(error.message().contains("/text"), "{error}");

    let error = test
        .mesh
        .call::<Value>("strict", json!({"max_words": "x"}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert_eq!(locations(&error), ["/max_words", "/text"]);

    let error = test.mesh.call::<Value>("strict", ()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
}

fn locations(error: &openagentmesh::Error) -> Vec<&str> {
    let mut locations: Vec<&str> = error.details()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["location"].as_str().unwrap())
        .collect();
    locations.sort_unstable();
    locations
}

#[tokio::test]
async fn malformed_json_is_invalid_input() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let raw = test.raw().await;
    for body in ["not json", "\"open", "\"two\" \"values\"", "\u{0}"] {
        let reply = within(raw.request("mesh.agent.echo", body.into()))
            .await
            .unwrap();
        let object: Value = serde_json::from_slice(&reply.payload).unwrap();
        assert_eq!(object["code"], "invalid_input", "{body}");
        assert_eq!(object["agent"], "echo");
        assert!(
            object["details"]["errors"][0]["message"].is_string(),
            "{object}"
        );
    }
    assert_eq!(
        test.mesh.call::<String>("echo", "still").await.unwrap(),
        "Echo: still"
    );
}

#[tokio::test]
async fn request_of_a_plain_nats_client_is_answered() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let reply = within(test.raw().await.request("mesh.agent.echo", "\"hi\"".into()))
        .await
        .unwrap();
    assert_eq!(&reply.payload[..], b"\"Echo: hi\"");
    let headers = reply.headers.unwrap();
    assert_eq!(headers.get("X-Mesh-Status").unwrap().as_str(), "ok");
    assert_eq!(headers.get("X-Mesh-Source").unwrap().as_str(), "echo");
}

#[tokio::test]
async fn unserved_call_is_not_found() {
    let test = TestMesh::start().await;
    // The server reports the missing responder; the timeout of the call does not matter.
    let error = within(test.mesh.call::<Value>("nosuch", ()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
}

#[tokio::test]
async fn listed_agent_without_host_is_not_available() {
    let test = TestMesh::start().await;
    test.list_without_a_host(echo()).await;
    let error = crate::support::eventually(|| async {
        test.mesh
            .call::<Value>("echo", "x")
            .timeout(Duration::from_secs(1))
            .await
            .err()
            .filter(|error| error.code() != &ErrorCode::Timeout)
    })
    .await;
    assert_eq!(error.code(), &ErrorCode::NotAvailable);
}

#[tokio::test]
async fn call_beyond_its_timeout_is_a_timeout_that_names_the_agent() {
    let test = TestMesh::start().await;
    let spec = AgentSpec::new("slow", "Never answers.");
    test.mesh
        .register(spec.handler(std::future::pending::<u32>))
        .await
        .unwrap();
    let error = test
        .mesh
        .call::<u32>("slow", ())
        .timeout(Duration::from_millis(100))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert_eq!(error.agent(), Some("slow"));
    assert_eq!(error.request_id().unwrap().len(), 32);
}

#[tokio::test]
async fn reply_of_another_type_names_the_expected_type() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let error = test.mesh.call::<u32>("echo", "x").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::UnexpectedReply);
    assert!(
        error.message().contains("cannot be read as u32:"),
        "{error}"
    );
}

#[tokio::test]
async fn invalid_agent_name_is_refused_before_anything_is_sent() {
    let test = TestMesh::start().await;
    let error = test
        .mesh
        .call::<Value>("no spaces.x", ())
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert!(error.message().contains("'no spaces'"), "{error}");
}

#[tokio::test]
async fn dropped_call_leaves_the_connection_usable() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    drop(test.mesh.call::<String>("echo", "never sent"));
    let call = test.mesh.call::<String>("echo", "dropped").into_future();
    let _ = tokio::time::timeout(Duration::ZERO, call).await;
    assert_eq!(
        test.mesh.call::<String>("echo", "kept").await.unwrap(),
        "Echo: kept"
    );
}
