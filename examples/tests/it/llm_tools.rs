//! The example with a language model, on a scripted model.

use openagentmesh::{AgentMesh, AgentSpec};
use openagentmesh_local::LocalServer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::provider_rules::{Form, checked};
use crate::support::{Example, ScriptedModel};

pub(crate) const EXAMPLE: &str = "llm_tools";

#[derive(Deserialize, JsonSchema)]
struct Text {
    #[schemars(length(min = 1))]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Words {
    words: usize,
}

fn tool_call(id: &str, arguments: &Value) -> Value {
    let function = json!({"name": "text_count", "arguments": arguments.to_string()});
    json!({"role": "assistant", "content": null,
        "tool_calls": [{"id": id, "type": "function", "function": function}]})
}

#[tokio::test]
async fn model_selects_tools_and_corrects_an_invalid_call() {
    let server = LocalServer::start().await.unwrap();
    let mesh = AgentMesh::connect(server.url()).await.unwrap();
    let count = AgentSpec::new("text.count", "Counts the words of a text.").tag("text");
    let count = count.handler(|input: Text| async move {
        let words = input.text.split_whitespace().count();
        Words { words }
    });
    let noise = AgentSpec::new("noise", "Does not help.").handler(|| async { 7 });
    let news = AgentSpec::new("news", "Publishes.").handler(futures::stream::pending::<u32>);
    mesh.register([count, noise, news]).await.unwrap();

    let model = ScriptedModel::serve(vec![
        json!({"role": "assistant", "content": "`text.count` may help."}),
        tool_call("1", &json!({"text": ""})),
        tool_call("2", &json!({"text": "to be or not"})),
        json!({"role": "assistant", "content": "It has four."}),
    ])
    .await;
    let variables = [
        ("OPENAI_BASE_URL", model.url.as_str()),
        ("OPENAI_API_KEY", "sesame"),
        ("OPENAI_MODEL", "scripted"),
    ];
    let example = Example::start_with(EXAMPLE, server.url(), &variables);
    let printed = example.output().await;
    let requests = model.requests().await;

    let catalog = requests[0]["messages"][0]["content"].as_str().unwrap();
    assert!(
        catalog.contains("\ntext.count: Counts the words of a text. #text\n"),
        "{catalog}"
    );
    assert!(!catalog.contains("news"), "not invocable: {catalog}");
    assert_eq!(requests[1]["model"], "scripted");
    let tools = requests[1]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1, "only the selected agent");
    checked(Form::OpenAiChat, tools[0].clone());
    assert_eq!(tools[0]["function"]["name"], "text_count");
    let error = requests[2]["messages"][2]["content"].as_str().unwrap();
    assert!(error.contains("/text"), "{error}");
    assert_eq!(requests[3]["messages"][4]["content"], r#"{"words":4}"#);
    assert_eq!(printed[0], "selected text.count");
    assert_eq!(printed[2], r#""text_count" -> {"words":4}"#);
    assert_eq!(printed[3], "It has four.");
    mesh.shutdown().await.unwrap();
}
