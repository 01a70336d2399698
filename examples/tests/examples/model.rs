//! The example with a language model, whose model is a script.

use std::sync::Arc;

use openagentmesh::{AgentMesh, AgentSpec};
use openagentmesh_local::LocalServer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::process::{Example, within};

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

/// What the model says, one message after another, and what it is told each time.
struct Script {
    url: String,
    told: tokio::task::JoinHandle<Vec<Value>>,
}

impl Script {
    async fn serve(messages: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let told = tokio::spawn(async move {
            let mut told = Vec::new();
            for message in messages {
                let (connection, _) = listener.accept().await.unwrap();
                told.push(answer(connection, &message).await);
            }
            told
        });
        Self { url, told }
    }
}

/// Answers one request, and gives its body.
async fn answer(connection: TcpStream, message: &Value) -> Value {
    let (reader, mut writer) = connection.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    assert_eq!(line.trim_end(), "POST /v1/chat/completions HTTP/1.1");
    let (mut length, mut key) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => value.trim().clone_into(&mut key),
            _ => {}
        }
    }
    assert_eq!(key, "Bearer sesame");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    let reply = json!({"choices": [{"message": message}]}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        reply.len()
    );
    writer.write_all(head.as_bytes()).await.unwrap();
    writer.write_all(reply.as_bytes()).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn uses(id: &str, arguments: &Value) -> Value {
    let function = json!({"name": "text_count", "arguments": arguments.to_string()});
    json!({"role": "assistant", "content": null,
        "tool_calls": [{"id": id, "type": "function", "function": function}]})
}

#[tokio::test]
async fn a_model_finds_its_tools_and_learns_from_its_mistakes() {
    let server = LocalServer::start().await.unwrap();
    let mesh = AgentMesh::connect(server.url()).await.unwrap();
    let count = AgentSpec::new("text.count", "Counts the words of a text.").tag("text");
    let count = count.handler(|input: Text| async move {
        let words = input.text.split_whitespace().count();
        Words { words }
    });
    let noise = AgentSpec::new("noise", "Is of no use.").handler(|| async { 7 });
    let news = AgentSpec::new("news", "Publishes.").handler(futures::stream::pending::<u32>);
    mesh.register([count, noise, news]).await.unwrap();

    let script = Script::serve(vec![
        json!({"role": "assistant", "content": "`text.count` may help."}),
        uses("1", &json!({"text": ""})),
        uses("2", &json!({"text": "to be or not"})),
        json!({"role": "assistant", "content": "It has four."}),
    ])
    .await;
    let variables = [
        ("OPENAI_BASE_URL", script.url.as_str()),
        ("OPENAI_API_KEY", "sesame"),
        ("OPENAI_MODEL", "scripted"),
    ];
    let example = Example::start_with(EXAMPLE, server.url(), &variables);
    let printed = example.ends().await;
    let told = Arc::new(within(script.told).await.unwrap());

    let catalog = told[0]["messages"][0]["content"].as_str().unwrap();
    assert!(
        catalog.contains("\ntext.count: Counts the words of a text. #text\n"),
        "{catalog}"
    );
    assert!(!catalog.contains("news"), "it cannot be called: {catalog}");
    assert_eq!(told[1]["model"], "scripted");
    let tools = told[1]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1, "only what was picked");
    assert_eq!(tools[0]["function"]["name"], "text_count");
    let mistake = told[2]["messages"][2]["content"].as_str().unwrap();
    assert!(mistake.contains("/text"), "{mistake}");
    assert_eq!(told[3]["messages"][4]["content"], r#"{"words":4}"#);
    assert_eq!(printed[0], "picked text.count");
    assert_eq!(printed[2], r#""text_count" -> {"words":4}"#);
    assert_eq!(printed[3], "It has four.");
    mesh.shutdown().await.unwrap();
}
