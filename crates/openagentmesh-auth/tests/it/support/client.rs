//! A client of single lines of the protocol, which knows what the server said to each.

use std::collections::VecDeque;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use openagentmesh_auth::Credentials;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The server answers each line long before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A message that was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) subject: String,
    /// Headers and body.
    pub(crate) text: String,
}

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    received: VecDeque<Message>,
    subscriptions: u32,
}

/// A line of the server.
enum Line {
    Pong,
    Error(String),
    Message(Message),
    Closed,
}

impl Client {
    /// Connects; an error is the text with which the server refused.
    pub(crate) async fn connect(address: &str, credentials: &Credentials) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Self {
            stream: BufReader::new(stream),
            received: VecDeque::new(),
            subscriptions: 0,
        };
        let mut info = String::new();
        client.stream.read_line(&mut info).await.unwrap();
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        let nonce = info["nonce"].as_str().unwrap();
        let text = credentials.to_text();
        let seed = text.lines().find(|line| line.starts_with("SU")).unwrap();
        let signature = KeyPair::from_seed(seed).unwrap().sign(nonce.as_bytes());
        let connect = json!({
            "jwt": credentials.jwt(), "sig": BASE64URL_NOPAD.encode(&signature.unwrap()),
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "lang": "rust", "version": "0.0.0", "protocol": 1,
        });
        client.say(&format!("CONNECT {connect}\r\n")).await?;
        Ok(client)
    }

    /// Sends lines, and waits until the server has handled them. An error is what the server said to them.
    pub(crate) async fn say(&mut self, lines: &str) -> Result<(), String> {
        let lines = format!("{lines}PING\r\n");
        // A closed connection shows when it is read.
        let _ = self.stream.write_all(lines.as_bytes()).await;
        let mut error = None;
        loop {
            match self.next_line().await {
                Line::Pong => return error.map_or(Ok(()), Err),
                Line::Error(text) => error = Some(text),
                Line::Message(message) => self.received.push_back(message),
                Line::Closed => return Err(error.unwrap_or_else(|| "closed".to_owned())),
            }
        }
    }

    pub(crate) async fn publish(
        &mut self,
        subject: &str,
        reply: &str,
        body: &str,
    ) -> Result<(), String> {
        let length = body.len();
        self.say(&format!("PUB {subject} {reply} {length}\r\n{body}\r\n"))
            .await
    }

    /// Publishes with headers, a line each.
    pub(crate) async fn publish_with(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &[&str],
        body: &str,
    ) -> Result<(), String> {
        let headers = format!("NATS/1.0\r\n{}\r\n\r\n", headers.join("\r\n"));
        let (header_length, length) = (headers.len(), headers.len() + body.len());
        let lines =
            format!("HPUB {subject} {reply} {header_length} {length}\r\n{headers}{body}\r\n");
        self.say(&lines).await
    }

    pub(crate) async fn subscribe(&mut self, subject: &str) -> Result<(), String> {
        self.subscriptions += 1;
        let id = self.subscriptions;
        self.say(&format!("SUB {subject} {id}\r\n")).await
    }

    /// Ends the last subscription.
    pub(crate) async fn unsubscribe(&mut self) {
        let id = self.subscriptions;
        self.say(&format!("UNSUB {id}\r\n")).await.unwrap();
    }

    /// The next message; `None` if none arrives within `limit`.
    pub(crate) async fn message(&mut self, limit: Duration) -> Option<Message> {
        if let Some(message) = self.received.pop_front() {
            return Some(message);
        }
        let next = async {
            loop {
                match self.next_line().await {
                    Line::Message(message) => return message,
                    Line::Closed => panic!("the connection is closed"),
                    Line::Pong | Line::Error(_) => {}
                }
            }
        };
        timeout(limit, next).await.ok()
    }

    /// Waits until the server ends the connection, and returns what it said.
    pub(crate) async fn closed(&mut self) -> String {
        let mut said = String::new();
        loop {
            match self.next_line().await {
                Line::Error(text) => said = text,
                Line::Closed => return said,
                Line::Pong | Line::Message(_) => {}
            }
        }
    }

    async fn next_line(&mut self) -> Line {
        timeout(ANSWER_TIMEOUT, self.read_line())
            .await
            .expect("an answer of the server")
    }

    async fn read_line(&mut self) -> Line {
        loop {
            let mut line = String::new();
            if !matches!(self.stream.read_line(&mut line).await, Ok(1..)) {
                return Line::Closed;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["PONG"] => return Line::Pong,
                ["PING"] => self.stream.write_all(b"PONG\r\n").await.unwrap(),
                ["-ERR", ..] => return Line::Error(line.trim()["-ERR ".len()..].to_owned()),
                ["MSG" | "HMSG", subject, _, .., length] => {
                    let mut text = vec![0; length.parse::<usize>().unwrap() + 2];
                    self.stream.read_exact(&mut text).await.unwrap();
                    let text = String::from_utf8(text).unwrap().trim_end().to_owned();
                    let subject = (*subject).to_owned();
                    return Line::Message(Message { subject, text });
                }
                _ => {}
            }
        }
    }
}
