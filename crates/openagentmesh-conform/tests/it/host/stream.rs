//! The streams of the host.

use async_nats::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::agent::Work;
use super::signals::Signals;
use super::{Host, header};

/// A stream waits at most so long for credit.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

impl Host {
    /// Streams numbers up to `input["to"]`.
    pub(super) async fn stream(&self, work: &Work, input: &Value) {
        if self.breaks("stream-chunks") {
            return;
        }
        let end = Instant::now() + LIMIT;
        let ignores_deadline = self.breaks("deadline-running");
        let deadline = work.deadline.filter(|_| !ignores_deadline).unwrap_or(end);
        let is_timeout = tokio::select! {
            biased;
            () = sleep_until(deadline) => true,
            () = self.send_chunks(work, input["to"].as_u64().unwrap()) => false,
            () = self.probe(work) => false,
        };
        if is_timeout {
            self.fail(work, "timeout", json!({})).await;
        }
    }

    async fn send_chunks(&self, work: &Work, count: u64) {
        let mut signals = Signals::open(&self.client).await;
        let mut credit = work.credit.filter(|_| !self.breaks("stream-credit"));
        for number in 0..count {
            while credit == Some(0) {
                let signal = signals.next(Instant::now() + LIMIT).await;
                let Some(signal) = signal else { return };
                let is_cancelled = header(&signal, "X-Mesh-Cancel").is_some();
                let is_unserved = signal.status == Some(StatusCode::NO_RESPONDERS);
                if is_cancelled && !self.breaks("stream-cancel")
                    || is_unserved && !self.breaks("stream-no-interest")
                {
                    return;
                }
                let more = header(&signal, "X-Mesh-Stream-Credit");
                credit = Some(more.and_then(|more| more.parse().ok()).unwrap_or(0));
            }
            credit = credit.map(|credit| credit - 1);
            let first = if self.breaks("stream-sequence") { 1 } else { 0 };
            let mut headers = self.chunk_headers(work, number + first, false);
            if self.breaks("stream-end-flag") {
                headers = self.chunk_headers_without_end(work, number);
            }
            let body = match self.breaks("stream-chunk-schema") {
                true => json!("text"),
                false => json!(number),
            };
            let reply = (!self.breaks("stream-reply-subject")).then(|| signals.subject.clone());
            self.publish_with(subject(work), reply, headers, body.to_string())
                .await;
        }
        let headers = self.chunk_headers(work, count, true);
        let body = if self.breaks("stream-end-marker") {
            "0"
        } else {
            ""
        };
        self.publish_with(subject(work), None, headers, body.to_owned())
            .await;
        if self.breaks("stream-silent-after-end") {
            let headers = self.chunk_headers(work, count + 1, false);
            self.publish_with(subject(work), None, headers, json!(count).to_string())
                .await;
        }
    }

    fn chunk_headers(&self, work: &Work, number: u64, is_end: bool) -> HeaderMap {
        let mut headers = self.chunk_headers_without_end(work, number);
        headers.insert("X-Mesh-Stream-End", if is_end { "true" } else { "false" });
        headers
    }

    fn chunk_headers_without_end(&self, work: &Work, number: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Stream-Seq", number.to_string().as_str());
        let id = if self.breaks("stream-request-id") {
            "other"
        } else {
            &work.id
        };
        headers.insert("X-Mesh-Request-Id", id);
        if !self.breaks("stream-instance-id") {
            headers.insert("X-Mesh-Instance-Id", self.instance.as_str());
        }
        headers
    }
}

fn subject(work: &Work) -> String {
    format!("mesh.stream.{}", work.id)
}
