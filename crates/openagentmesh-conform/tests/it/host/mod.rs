//! A host of plain NATS messages that follows all rules, except the one that a test names.

mod agent;
mod signals;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use async_nats::{Client, HeaderMap, Message, jetstream};
use futures::StreamExt;
use openagentmesh_protocol::RequestId;
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) use self::agent::{FLOOD, Shape};

/// The lease of the instance record, and the time between its writes.
const LEASE_MS: u64 = 10_000;
const RENEWAL: Duration = Duration::from_millis(500);

/// The time by which a wrong order is visible.
const LATER: Duration = Duration::from_millis(400);

/// The host, with one agent.
pub(crate) struct Host {
    client: Client,
    name: String,
    shape: Shape,
    /// The id of the rule that the host breaks; empty for none.
    fault: &'static str,
    instance: String,
    catalog: Store,
    registry: Store,
    instances: Store,
}

/// A running host. Dropping it ends its tasks.
pub(crate) struct Running {
    host: Arc<Host>,
    requests: Option<JoinSet<()>>,
    others: JoinSet<()>,
}

impl Host {
    pub(crate) async fn new(
        client: Client,
        name: &str,
        shape: Shape,
        fault: &'static str,
    ) -> Arc<Self> {
        let jetstream = jetstream::new(client.clone());
        let store = async |name: &str| jetstream.get_key_value(name).await.unwrap();
        Arc::new(Self {
            name: name.to_owned(),
            shape,
            fault,
            instance: RequestId::random().to_string(),
            catalog: store("mesh-catalog").await,
            registry: store("mesh-registry").await,
            instances: store("mesh-instances").await,
            client,
        })
    }

    /// Whether the host breaks `rule`.
    fn breaks(&self, rule: &str) -> bool {
        self.fault == rule
    }

    /// Waits until the server has processed what the host has sent.
    async fn round_trip(&self) {
        // Answered by the server, as nobody subscribes.
        drop(self.client.request("test.unserved", "".into()).await);
    }

    /// The key of the instance record.
    fn record_key(&self) -> String {
        match self.breaks("instance-id") {
            true => format!("other-{}", self.instance),
            false => self.instance.clone(),
        }
    }

    /// Registers the agent and serves it.
    pub(crate) async fn start(self: &Arc<Self>) -> Running {
        let mut running = Running {
            host: Arc::clone(self),
            requests: None,
            others: JoinSet::new(),
        };
        if !self.breaks("register-subscribed-first") {
            running.subscribe().await;
        }
        if !self.breaks("register-contract-first") {
            self.write_contract().await;
        }
        self.write_entry().await;
        if self.breaks("register-contract-first") {
            self.write_contract().await;
        }
        if !self.breaks("instance-record") {
            if !self.breaks("register-record") {
                self.write_record().await;
            }
            if !self.breaks("instance-lease") {
                let host = Arc::clone(self);
                running.others.spawn(async move {
                    if host.breaks("register-record") {
                        tokio::time::sleep(LATER * 2).await;
                    }
                    loop {
                        tokio::time::sleep(RENEWAL).await;
                        host.write_record().await;
                    }
                });
            }
        }
        if self.breaks("register-subscribed-first") {
            tokio::time::sleep(LATER).await;
            running.subscribe().await;
        }
        if self.shape == Shape::Publisher {
            let host = Arc::clone(self);
            running.others.spawn(async move { host.publish().await });
        }
        running
    }

    async fn write_contract(&self) {
        if !self.breaks("contract-document") {
            let contract = self.contract().to_string();
            self.registry
                .put(&self.name, contract.into())
                .await
                .unwrap();
        }
    }

    async fn write_entry(&self) {
        if self.breaks("catalog-entry") {
            return;
        }
        let entry = self.entry();
        if self.breaks("register-keeps-entries") {
            return self
                .change_catalog(|entries| *entries = vec![entry.clone()])
                .await;
        }
        if self.breaks("register-compare-and-swap") {
            let mut entries = self.read_catalog().await.0;
            entries.push(entry);
            let text = Value::Array(entries).to_string();
            self.catalog.put("catalog", text.into()).await.unwrap();
            return;
        }
        self.change_catalog(|entries| entries.push(entry.clone()))
            .await;
    }

    async fn read_catalog(&self) -> (Vec<Value>, u64) {
        match self.catalog.entry("catalog").await.unwrap() {
            Some(entry) if !entry.value.is_empty() => (
                serde_json::from_slice(&entry.value).unwrap(),
                entry.revision,
            ),
            other => (Vec::new(), other.map_or(0, |entry| entry.revision)),
        }
    }

    async fn change_catalog(&self, change: impl Fn(&mut Vec<Value>)) {
        loop {
            let (mut entries, revision) = self.read_catalog().await;
            change(&mut entries);
            let text = Value::Array(entries).to_string();
            if self
                .catalog
                .update("catalog", text.into(), revision)
                .await
                .is_ok()
            {
                return;
            }
        }
    }

    async fn write_record(&self) {
        let agents = match self.breaks("instance-agents") {
            true => json!(["zz", self.name]),
            false => json!([self.name]),
        };
        let record = json!({"agents": agents, "lease_ms": LEASE_MS}).to_string();
        self.instances
            .put(self.record_key(), record.into())
            .await
            .unwrap();
    }

    /// Publishes events until the task is aborted.
    async fn publish(&self) {
        let step = if self.breaks("event-sequence") { 2 } else { 1 };
        for number in (0_u64..).step_by(step) {
            let mut headers = HeaderMap::new();
            headers.insert("X-Mesh-Stream-Seq", number.to_string().as_str());
            if !self.breaks("event-end-flag") {
                headers.insert("X-Mesh-Stream-End", "false");
            }
            if !self.breaks("event-instance-id") {
                headers.insert("X-Mesh-Instance-Id", self.instance.as_str());
            }
            let body = match self.breaks("event-schema") {
                true => json!("text"),
                false => json!(number),
            };
            let subject = format!("mesh.agent.{}.events", self.name);
            self.publish_with(subject, None, headers, body.to_string())
                .await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn publish_with(
        &self,
        subject: String,
        reply: Option<String>,
        headers: HeaderMap,
        body: String,
    ) {
        let client = &self.client;
        match reply {
            Some(reply) => {
                let sent =
                    client.publish_with_reply_and_headers(subject, reply, headers, body.into());
                sent.await.unwrap();
            }
            None => client
                .publish_with_headers(subject, headers, body.into())
                .await
                .unwrap(),
        }
    }
}

impl Running {
    async fn subscribe(&mut self) {
        let host = &self.host;
        let mut requests = JoinSet::new();
        if !host.shape.is_invocable() && !host.breaks("not-invocable") {
            return;
        }
        let subject = format!("mesh.agent.{}", host.name);
        let group = format!("q.{}", host.name);
        let messages = match host.breaks("queue-group") {
            true => host.client.subscribe(subject).await.unwrap(),
            false => host.client.queue_subscribe(subject, group).await.unwrap(),
        };
        requests.spawn(serve(Arc::clone(host), messages));
        if !host.breaks("instance-request") {
            let direct = format!("mesh.instance.{}.request.{}", host.record_key(), host.name);
            let messages = host.client.subscribe(direct).await.unwrap();
            requests.spawn(serve(Arc::clone(host), messages));
        }
        host.client.flush().await.unwrap();
        self.requests = Some(requests);
    }

    /// Leaves the mesh in order.
    pub(crate) async fn leave(mut self) {
        let host = Arc::clone(&self.host);
        self.others.abort_all();
        if !host.breaks("leave-unsubscribed") {
            self.unsubscribe().await;
        }
        if !host.breaks("leave-record") {
            host.instances.delete(host.record_key()).await.unwrap();
        }
        if host.breaks("leave-order") {
            host.registry.delete(&host.name).await.unwrap();
        }
        if host.breaks("leave-array") {
            host.catalog.delete("catalog").await.unwrap();
        } else if !host.breaks("leave-entry") {
            host.change_catalog(|entries| {
                entries.retain(|entry| entry["name"] != host.name.as_str())
            })
            .await;
        }
        if host.breaks("leave-unsubscribed") {
            tokio::time::sleep(LATER).await;
            self.unsubscribe().await;
        }
        if !host.breaks("leave-contract") && !host.breaks("leave-order") {
            host.registry.delete(&host.name).await.unwrap();
        }
        if !host.breaks("leave-notice") {
            let notice = json!({
                "agent": host.name, "reason": "graceful_shutdown",
                "detected_at": "2026-01-02T03:04:05Z", "instance_id": host.instance,
            });
            let subject = format!("mesh.death.{}", host.name);
            host.client
                .publish(subject, notice.to_string().into())
                .await
                .unwrap();
        }
        host.client.flush().await.unwrap();
    }

    async fn unsubscribe(&mut self) {
        if let Some(mut requests) = self.requests.take() {
            // A dropped subscription is ended at the server.
            requests.shutdown().await;
        }
        // After which the server has ended it.
        self.host.round_trip().await;
    }
}

async fn serve(host: Arc<Host>, mut messages: async_nats::Subscriber) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return };
                let host = Arc::clone(&host);
                running.spawn(async move { host.handle(message).await });
            }
            Some(_) = running.join_next() => {}
        }
    }
}

/// The value of a header, in any case.
fn header(message: &Message, name: &str) -> Option<String> {
    let headers = message.headers.iter().flat_map(HeaderMap::iter);
    let mut found =
        headers.filter(|(found, _)| AsRef::<str>::as_ref(*found).eq_ignore_ascii_case(name));
    Some(found.next()?.1.first()?.to_string())
}
