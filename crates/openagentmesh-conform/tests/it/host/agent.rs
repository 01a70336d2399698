//! The agent of the host: its contract and its answers.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use openagentmesh_protocol::RequestId;
use openagentmesh_protocol::subject::may_reply_to;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::signals::Signals;
use super::{Host, header};

/// The time that the input "slow" takes.
const SLOW: Duration = Duration::from_millis(1200);
/// The number of attempts to deliver a reply to a caller that subscribes late.
const DELIVERIES: usize = 50;

/// A fault in place of a rule: each request gets thousands of messages that mean nothing.
pub(crate) const FLOOD: &str = "flood";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Responder,
    Trigger,
    Streamer,
    Publisher,
    Watcher,
}

impl Shape {
    pub(super) fn is_invocable(self) -> bool {
        !matches!(self, Self::Publisher | Self::Watcher)
    }

    pub(super) fn is_streaming(self) -> bool {
        matches!(self, Self::Publisher | Self::Streamer)
    }
}

/// A request in work.
pub(super) struct Work {
    pub(super) id: String,
    pub(super) reply: Option<String>,
    pub(super) is_stream: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) has_probes: bool,
    pub(super) credit: Option<u64>,
}

impl Host {
    pub(super) fn entry(&self) -> Value {
        let mut entry = json!({
            "name": self.name, "description": "An agent of a test.", "version": "1.0.0", "tags": ["test"],
            "invocable": self.shape.is_invocable(), "streaming": self.shape.is_streaming(),
        });
        if self.breaks("catalog-name") {
            let (channel, name) = self.name.rsplit_once('.').unwrap();
            entry["name"] = json!(name);
            entry["channel"] = json!(channel);
        }
        if self.breaks("catalog-fields") {
            entry["tags"] = Value::Null;
        }
        if self.breaks("contract-agrees") {
            entry["description"] = json!("Another agent.");
        }
        entry
    }

    pub(super) fn contract(&self) -> Value {
        let mut contract = json!({
            "name": self.name, "description": "An agent of a test.", "version": "1.0.0",
            "capabilities": {"invocable": self.shape.is_invocable(), "streaming": self.shape.is_streaming()},
            "skills": [{"id": self.name, "name": self.name, "description": "An agent of a test.", "tags": ["test"]}],
            "x-agentmesh": {
                "subject": format!("mesh.agent.{}", self.name), "tags": ["test"],
                "registered_at": "2026-01-02T03:04:05.678Z",
            },
        });
        let text = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
        match self.shape {
            Shape::Responder => {
                contract["skills"][0]["inputSchema"] = text.clone();
                contract["skills"][0]["outputSchema"] = text;
            }
            Shape::Trigger => contract["skills"][0]["outputSchema"] = text,
            Shape::Streamer => {
                contract["skills"][0]["inputSchema"] = json!({
                    "type": "object", "properties": {"to": {"type": "integer"}}, "required": ["to"],
                });
                contract["x-agentmesh"]["chunk_schema"] = json!({"type": "integer"});
            }
            Shape::Publisher => {
                contract["x-agentmesh"]["chunk_schema"] = json!({"type": "integer"})
            }
            Shape::Watcher => {}
        }
        if self.breaks("contract-name") {
            let (channel, name) = self.name.rsplit_once('.').unwrap();
            contract["name"] = json!(name);
            contract["x-agentmesh"]["channel"] = json!(channel);
        }
        if self.breaks("contract-fields") {
            contract["skills"][0]["id"] = Value::Null;
        }
        if self.breaks("contract-subject") {
            contract["x-agentmesh"]["subject"] = json!("mesh.agent.other");
        }
        if self.breaks("contract-time") {
            contract["x-agentmesh"]["registered_at"] = json!("yesterday");
        }
        if self.breaks("contract-schemas") {
            contract["skills"][0]["inputSchema"] = json!({});
        }
        contract
    }

    /// Answers one request.
    pub(super) async fn handle(&self, message: Message) {
        let received = Instant::now();
        let read = |name: &str| match self.breaks("call-header-case") {
            true => message.headers.as_ref()?.get(name).map(ToString::to_string),
            false => header(&message, name),
        };
        let id = read("X-Mesh-Request-Id");
        let timeout = read("X-Mesh-Timeout-Ms");
        let milliseconds = timeout.as_ref().and_then(|timeout| timeout.parse().ok());
        let mut work = Work {
            reply: message.reply.as_ref().map(ToString::to_string),
            is_stream: read("X-Mesh-Stream").as_deref() == Some("true"),
            deadline: milliseconds.map(|timeout| received + Duration::from_millis(timeout)),
            has_probes: read("X-Mesh-Probe").as_deref() == Some("true"),
            credit: read("X-Mesh-Stream-Credit").and_then(|credit| credit.parse().ok()),
            id: id
                .clone()
                .unwrap_or_else(|| RequestId::random().to_string()),
        };
        let is_ignored = self.breaks("call-plain-request") && message.headers.is_none()
            || self.breaks("call-opaque-id") && work.id.len() != 32
            || self.breaks("call-invalid-header") && timeout.as_deref() == Some("soon")
            || self.breaks("send-reply-to") && read("X-Mesh-Reply-To").is_some()
            || self.breaks("send-results")
                && work
                    .reply
                    .as_deref()
                    .is_some_and(|reply| reply.starts_with("mesh.results."))
            || self.breaks("input-nested") && message.payload.starts_with(b"[[[[");
        if is_ignored {
            return;
        }
        if self.breaks(FLOOD) {
            return self.flood(&work).await;
        }
        if self.breaks("call-unknown-headers") && read("X-Conform-Unknown").is_some() {
            return self.fail(&work, "invalid_input", json!({})).await;
        }
        if self.breaks("send-without-reply") && work.reply.is_none() {
            return self.fail(&work, "handler_error", json!({})).await;
        }
        let is_reserved = work
            .reply
            .as_ref()
            .is_some_and(|reply| !may_reply_to(reply));
        if is_reserved && !self.breaks("reply-reserved-subject") {
            return;
        }
        if work.is_stream != (self.shape == Shape::Streamer) {
            let code = if self.breaks("verb-mismatch") {
                "handler_error"
            } else {
                "invocation_mismatch"
            };
            return self.fail(&work, code, json!({})).await;
        }
        if work
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now())
        {
            if !self.breaks("deadline-passed") {
                return self.fail(&work, "timeout", json!({})).await;
            }
            work.deadline = None;
        }
        match self.input(&message.payload) {
            Ok(input) if work.is_stream => self.stream(&work, &input).await,
            Ok(input) if !self.breaks("call-answered") => self.call(&work, &input).await,
            Ok(_) => {}
            Err(problem) => {
                let code = if self.breaks("input-code") {
                    "handler_error"
                } else {
                    "invalid_input"
                };
                let details = match self.breaks("input-problems") {
                    true => json!({}),
                    false => json!({"errors": [{"location": "", "message": problem}]}),
                };
                self.fail(&work, code, details).await;
            }
        }
    }

    /// Answers with many messages that mean nothing.
    async fn flood(&self, work: &Work) {
        let stream = Some(format!("mesh.stream.{}", work.id));
        for subject in [&stream, &work.reply].into_iter().flatten() {
            for _ in 0..3000 {
                let mut headers = HeaderMap::new();
                headers.insert("X-Mesh-Probe", "\u{7f}");
                let body = "[".repeat(300);
                self.publish_with(subject.clone(), None, headers, body)
                    .await;
            }
        }
    }

    fn input(&self, body: &[u8]) -> Result<Value, String> {
        if self.shape == Shape::Trigger || self.breaks("not-invocable") {
            return Ok(json!({"text": "x", "to": 5}));
        }
        let stand_in = json!({"text": "x", "to": 5});
        if body.is_empty() {
            return if self.breaks("input-empty") {
                Ok(stand_in)
            } else {
                Err("empty".to_owned())
            };
        }
        let input: Value = match serde_json::from_slice(body) {
            // Nesting is an error of the parser, too.
            Err(_) if self.breaks("input-malformed") && !body.starts_with(b"[[[") => {
                return Ok(stand_in);
            }
            Err(error) => return Err(error.to_string()),
            Ok(input) => input,
        };
        let is_valid = match self.shape {
            Shape::Streamer => input["to"].is_u64(),
            _ => input["text"].is_string(),
        };
        match is_valid || self.breaks("input-violation") {
            true if is_valid => Ok(input),
            true => Ok(stand_in),
            false => Err("wrong type".to_owned()),
        }
    }

    async fn call(&self, work: &Work, input: &Value) {
        if input["text"] == "slow" && self.is_cancelled(work).await {
            return;
        }
        let Some(reply) = work.reply.clone() else {
            return;
        };
        let mut headers = HeaderMap::new();
        let status = if self.breaks("reply-status") {
            "fine"
        } else {
            "ok"
        };
        headers.insert("X-Mesh-Status", status);
        let id = if self.breaks("reply-request-id") {
            "other"
        } else {
            &work.id
        };
        headers.insert("X-Mesh-Request-Id", id);
        let source = if self.breaks("reply-source") {
            "other"
        } else {
            &self.name
        };
        let name = if self.breaks("reply-header-spelling") {
            "x-mesh-source"
        } else {
            "X-Mesh-Source"
        };
        headers.insert(name, source);
        if !self.breaks("reply-instance-id") {
            headers.insert("X-Mesh-Instance-Id", self.instance.as_str());
        }
        let body = match self.fault {
            "reply-body" => "text".to_owned(),
            "reply-output-schema" => json!({"text": 5}).to_string(),
            _ => json!({"text": input["text"]}).to_string(),
        };
        if reply.starts_with("mesh.results.") && !self.breaks("send-late-subscriber") {
            return self.deliver(reply, headers, body).await;
        }
        let times = if self.breaks("reply-once") { 2 } else { 1 };
        for _ in 0..times {
            self.publish_with(reply.clone(), None, headers.clone(), body.clone())
                .await;
        }
    }

    /// Sends a reply until it has a subscriber.
    async fn deliver(&self, reply: String, headers: HeaderMap, body: String) {
        for _ in 0..DELIVERIES {
            let mut signals = Signals::open(&self.client).await;
            self.publish_with(
                reply.clone(),
                Some(signals.subject.clone()),
                headers.clone(),
                body.clone(),
            )
            .await;
            // After which the server has reported a reply without a subscriber.
            self.round_trip().await;
            if !signals.is_unserved(Duration::from_millis(20)).await {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Works for some time. Returns whether the request was cancelled.
    async fn is_cancelled(&self, work: &Work) -> bool {
        let end = Instant::now() + SLOW;
        let ignores_deadline = self.breaks("deadline-running");
        let deadline = work
            .deadline
            .filter(|_| !ignores_deadline)
            .unwrap_or(end + SLOW);
        tokio::select! {
            biased;
            () = sleep_until(deadline) => {
                self.fail(work, "timeout", json!({})).await;
                true
            }
            () = sleep_until(end) => false,
            () = self.probe(work) => true,
        }
    }

    /// Probes the caller until it has cancelled the request.
    pub(super) async fn probe(&self, work: &Work) {
        let asks = work.has_probes || self.breaks("probe-asked-only");
        let Some(reply) = work
            .reply
            .clone()
            .filter(|_| asks && !self.breaks("probe-sent"))
        else {
            return std::future::pending().await;
        };
        sleep(Duration::from_millis(100)).await;
        let mut signals = Signals::open(&self.client).await;
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("X-Mesh-Probe", "true");
            headers.insert("X-Mesh-Instance-Id", self.instance.as_str());
            if !self.breaks("probe-headers") {
                headers.insert("X-Mesh-Request-Id", work.id.as_str());
            }
            let signal = Some(signals.subject.clone());
            self.publish_with(reply.clone(), signal, headers, String::new())
                .await;
            if signals.is_cancelled(Duration::from_millis(300)).await
                && !self.breaks("probe-cancel")
            {
                return;
            }
        }
    }

    /// Answers with an error, and writes it to the dead letters.
    pub(super) async fn fail(&self, work: &Work, code: &str, details: Value) {
        let agent = if self.breaks("error-agent") {
            "other"
        } else {
            &self.name
        };
        let id = if self.breaks("error-request-id") {
            "other"
        } else {
            &work.id
        };
        let mut object = json!({"code": code, "message": "failed", "agent": agent, "request_id": id, "details": details});
        if self.breaks("error-object") {
            object["message"] = json!(5);
        }
        let body = object.to_string();
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Status", "error");
        if !self.breaks("error-headers") {
            headers.insert("X-Mesh-Request-Id", work.id.as_str());
        }
        if self.breaks("error-without-source") {
            headers.insert("X-Mesh-Source", self.name.as_str());
        }
        let letter = headers.clone();
        if work.is_stream {
            headers.insert("X-Mesh-Stream-End", "true");
            if self.breaks("stream-error") {
                headers.insert("X-Mesh-Stream-Seq", "0");
            }
            self.publish_with(
                format!("mesh.stream.{}", work.id),
                None,
                headers,
                body.clone(),
            )
            .await;
        } else if let Some(reply) = &work.reply {
            self.publish_with(reply.clone(), None, headers, body.clone())
                .await;
        }
        if !self.breaks("dead-letter") {
            self.publish_with(format!("mesh.errors.{}", self.name), None, letter, body)
                .await;
        }
    }
}
