//! A model endpoint with prepared messages.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::deadline::within_deadline;

/// Answers each request with the next of its messages, and records the requests.
pub(crate) struct ScriptedModel {
    pub(crate) url: String,
    requests: JoinHandle<Vec<Value>>,
}

impl ScriptedModel {
    pub(crate) async fn serve(messages: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let requests = tokio::spawn(async move {
            let mut requests = Vec::new();
            for message in messages {
                let (connection, _) = listener.accept().await.unwrap();
                requests.push(answer(connection, &message).await);
            }
            requests
        });
        Self { url, requests }
    }

    /// The bodies of the requests, after all messages are sent.
    pub(crate) async fn requests(self) -> Vec<Value> {
        within_deadline(self.requests).await.unwrap()
    }
}

/// Answers one request, and returns its body.
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
