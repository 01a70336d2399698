//! A caller of plain NATS messages that follows all rules, except the one that a test names.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use futures::StreamExt;
use openagentmesh_protocol::RequestId;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

/// The limit of a wait for a message.
const LIMIT: Duration = Duration::from_secs(10);
/// The time by which a wrong order is visible.
const LATER: Duration = Duration::from_secs(2);
/// The credit of a stream, and of each addition.
const CREDIT: u64 = 50;

/// The steps of the caller.
pub(crate) const STEPS: [&str; 12] = [
    "echo", "fail", "lower", "absent", "slow", "count", "gap", "stumble", "ticks", "endless",
    "never", "note",
];

/// The caller.
pub(crate) struct Caller {
    client: Client,
    /// The id of the rule that the caller breaks; empty for none.
    fault: &'static str,
    instance: String,
}

impl Caller {
    pub(crate) fn new(client: Client, fault: &'static str) -> Self {
        Self {
            client,
            fault,
            instance: RequestId::random().to_string(),
        }
    }

    fn breaks(&self, rule: &str) -> bool {
        self.fault == rule
    }

    /// Does one step, and reports its outcome.
    pub(crate) async fn step(&self, step: &str) {
        let agent = format!("conform.{step}");
        let text = json!({"text": "hello"});
        let seen = match step {
            "echo" | "fail" | "lower" | "absent" | "slow" => self.call(&agent, text).await,
            "count" => self.stream(&agent, 300).await,
            "gap" => self.stream(&agent, 5).await,
            "stumble" => self.stream(&agent, 2).await,
            "ticks" => self.subscribe().await,
            "endless" => return self.drop_stream().await,
            "never" => return self.give_up().await,
            "note" => return self.send().await,
            _ => panic!("{step}"),
        };
        let seen = match self.lies_about(step) {
            true => json!("nothing"),
            false => seen,
        };
        if seen.is_null() {
            // The fault left the request without an answer.
            return;
        }
        self.call("conform.report", json!({"step": step, "seen": seen}))
            .await;
    }

    /// Whether the caller treats the outcome of the step wrongly.
    fn lies_about(&self, step: &str) -> bool {
        let rule = match step {
            "echo" => "outcome-reply",
            "fail" => "outcome-error",
            "lower" => "outcome-header-case",
            "absent" => "outcome-absent",
            "slow" => "outcome-slow",
            "count" => "outcome-stream",
            "gap" => "outcome-gap",
            "stumble" => "outcome-stream-error",
            "ticks" => "outcome-events",
            _ => return false,
        };
        self.breaks(rule)
    }

    fn headers(&self) -> (String, HeaderMap) {
        let id = match self.fault {
            "request-id" => RequestId::random().as_str()[..8].to_owned(),
            "request-id-unique" => "0123456789abcdef0123456789abcdef".to_owned(),
            _ => RequestId::random().to_string(),
        };
        let mut headers = HeaderMap::new();
        let name = match self.breaks("request-header-spelling") {
            true => "x-mesh-request-id",
            false => "X-Mesh-Request-Id",
        };
        headers.insert(name, id.as_str());
        if !self.breaks("request-instance-id") {
            headers.insert("X-Mesh-Instance-Id", self.instance.as_str());
        }
        (id, headers)
    }

    fn body(&self, input: &Value) -> String {
        match self.breaks("request-body") {
            true => "hello".to_owned(),
            false => input.to_string(),
        }
    }

    /// Publishes a call. Returns the subscription to its reply.
    async fn publish_call(&self, agent: &str, input: &Value) -> Subscriber {
        let (_, mut headers) = self.headers();
        if self.breaks("request-call-flag") {
            headers.insert("X-Mesh-Stream", "true");
        }
        if !self.breaks("request-timeout") {
            headers.insert("X-Mesh-Timeout-Ms", "10000");
        }
        if !self.breaks("request-probe") {
            headers.insert("X-Mesh-Probe", "true");
        }
        let inbox = self.client.new_inbox();
        let subject = format!("mesh.agent.{agent}");
        let body = self.body(input);
        if self.breaks("request-subscribed") {
            self.client
                .publish_with_reply_and_headers(subject, inbox.clone(), headers, body.into())
                .await
                .unwrap();
            self.client.flush().await.unwrap();
            tokio::time::sleep(LATER).await;
            return self.client.subscribe(inbox).await.unwrap();
        }
        let replies = self.client.subscribe(inbox.clone()).await.unwrap();
        if self.breaks("request-reply-subject") {
            self.client
                .publish_with_headers(subject, headers, body.into())
                .await
                .unwrap();
        } else {
            let sent =
                self.client
                    .publish_with_reply_and_headers(subject, inbox, headers, body.into());
            sent.await.unwrap();
        }
        replies
    }

    /// Calls an agent. Returns the output, or the code of the error.
    async fn call(&self, agent: &str, input: Value) -> Value {
        let mut replies = self.publish_call(agent, &input).await;
        let limit = match self.fault {
            "request-reply-subject" | "request-subscribed" | "request-call-flag" => {
                Duration::from_millis(300)
            }
            _ => LIMIT,
        };
        loop {
            let Ok(Some(reply)) = timeout(limit, replies.next()).await else {
                return Value::Null;
            };
            if reply.status == Some(StatusCode::NO_RESPONDERS) {
                return json!("not_available");
            }
            match header(&reply, "X-Mesh-Probe").as_deref() {
                Some("answer") => {
                    self.signal(&reply, "X-Mesh-Probe", "true", "probe-question")
                        .await
                }
                Some(_) => {}
                None => return outcome(&reply),
            }
        }
    }

    /// Sends a signal to the reply subject of a message, unless that breaks `rule`.
    async fn signal(&self, message: &Message, name: &str, value: &str, rule: &str) {
        if let Some(subject) = message.reply.clone().filter(|_| !self.breaks(rule)) {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            self.client
                .publish_with_headers(subject, headers, "".into())
                .await
                .unwrap();
        }
    }

    /// Publishes a request for a stream. Returns the subscription to its chunks.
    async fn publish_stream(&self, agent: &str, to: u64) -> Subscriber {
        let (id, mut headers) = self.headers();
        if !self.breaks("request-stream-flag") {
            headers.insert("X-Mesh-Stream", "true");
        }
        if !self.breaks("request-credit") {
            headers.insert("X-Mesh-Stream-Credit", CREDIT.to_string().as_str());
        }
        let chunks = format!("mesh.stream.{id}");
        let body = self.body(&json!({"to": to}));
        let subject = format!("mesh.agent.{agent}");
        if self.breaks("request-stream-subscribed") {
            let inbox = self.client.new_inbox();
            self.client
                .publish_with_reply_and_headers(subject, inbox, headers, body.into())
                .await
                .unwrap();
            self.client.flush().await.unwrap();
            tokio::time::sleep(LATER).await;
            return self.client.subscribe(chunks).await.unwrap();
        }
        let chunks = self.client.subscribe(chunks).await.unwrap();
        if self.breaks("request-stream-inbox") {
            self.client
                .publish_with_headers(subject, headers, body.into())
                .await
                .unwrap();
        } else {
            let inbox = self.client.new_inbox();
            self.client
                .publish_with_reply_and_headers(subject, inbox, headers, body.into())
                .await
                .unwrap();
        }
        chunks
    }

    /// Streams. Returns the number of chunks, or the code of the error.
    async fn stream(&self, agent: &str, to: u64) -> Value {
        let mut chunks = self.publish_stream(agent, to).await;
        let limit = match self.fault {
            "request-stream-flag" | "request-stream-subscribed" | "credit-returned" => {
                Duration::from_millis(500)
            }
            _ => LIMIT,
        };
        let mut count = 0_u64;
        while let Ok(Some(chunk)) = timeout(limit, chunks.next()).await {
            if header(&chunk, "X-Mesh-Status").as_deref() == Some("error") {
                return outcome(&chunk);
            }
            if header(&chunk, "X-Mesh-Stream-Seq") != Some(count.to_string()) {
                return json!("chunk_sequence_error");
            }
            if header(&chunk, "X-Mesh-Stream-End").as_deref() == Some("true") {
                return json!(count);
            }
            count += 1;
            if count.is_multiple_of(CREDIT) && !self.breaks("request-credit") {
                let more = CREDIT.to_string();
                self.signal(&chunk, "X-Mesh-Stream-Credit", &more, "credit-returned")
                    .await;
            }
        }
        Value::Null
    }

    /// Takes some chunks of a stream without an end, and leaves it.
    async fn drop_stream(&self) {
        let mut chunks = self.publish_stream("conform.endless", 0).await;
        let mut last = None;
        for _ in 0..3 {
            last = timeout(LIMIT, chunks.next()).await.unwrap();
        }
        self.signal(&last.unwrap(), "X-Mesh-Cancel", "true", "drop-cancels")
            .await;
        if self.breaks("drop-unsubscribes") {
            // Longer than the kit waits.
            let end = Instant::now() + Duration::from_secs(3);
            while timeout_at(end, chunks.next()).await.is_ok() {}
        }
        chunks.unsubscribe().await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// Calls an agent that does not answer, and cancels the request after some time.
    async fn give_up(&self) {
        let mut replies = self
            .publish_call("conform.never", &json!({"text": "hello"}))
            .await;
        let end = Instant::now() + Duration::from_millis(500);
        while timeout_at(end, replies.next()).await.is_ok() {}
        if self.breaks("probe-cancelled") {
            let end = Instant::now() + LIMIT;
            while timeout_at(end, replies.next()).await.is_ok() {}
        } else if let Ok(Some(probe)) = timeout(LIMIT, replies.next()).await {
            self.signal(&probe, "X-Mesh-Cancel", "true", "").await;
        }
        self.client.flush().await.unwrap();
    }

    async fn send(&self) {
        let (_, mut headers) = self.headers();
        if !self.breaks("request-reply-to") {
            headers.insert("X-Mesh-Reply-To", "conform.replies");
        }
        let (subject, body) = (
            "mesh.agent.conform.note",
            self.body(&json!({"text": "hello"})),
        );
        let sent = self.client.publish_with_reply_and_headers(
            subject,
            "conform.replies",
            headers,
            body.into(),
        );
        sent.await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// Receives three events. Returns their number.
    async fn subscribe(&self) -> Value {
        if self.breaks("events-subscribed") {
            return json!(3);
        }
        let mut events = self
            .client
            .subscribe("mesh.agent.conform.ticks.events")
            .await
            .unwrap();
        for _ in 0..3 {
            timeout(LIMIT, events.next()).await.unwrap().unwrap();
        }
        json!(3)
    }
}

/// The output, or the code of an error.
fn outcome(reply: &Message) -> Value {
    let body: Value = serde_json::from_slice(&reply.payload).unwrap();
    match header(reply, "X-Mesh-Status").as_deref() {
        Some("error") => body["code"].clone(),
        _ => body,
    }
}

/// The value of a header, in any case.
fn header(message: &Message, name: &str) -> Option<String> {
    let headers = message.headers.iter().flat_map(HeaderMap::iter);
    let mut found =
        headers.filter(|(found, _)| AsRef::<str>::as_ref(*found).eq_ignore_ascii_case(name));
    Some(found.next()?.1.first()?.to_string())
}
