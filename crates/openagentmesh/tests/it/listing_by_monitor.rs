//! The monitor lists the agents of hosts that write their contracts and instance records alone.

use async_nats::jetstream::kv::Store;
use openagentmesh::{AgentMesh, CancellationToken};
use serde_json::{Value, json};

use crate::support::{TestMesh, eventually, within};

const HOST: &str = "0123456789abcdef0123456789abcdef";

/// A host that writes no catalog, and a monitor.
struct Unlisted {
    test: TestMesh,
    registry: Store,
    instances: Store,
    stop: CancellationToken,
    monitoring: tokio::task::JoinHandle<openagentmesh::Result<()>>,
    /// The host's connection, by which it counts as alive.
    _connection: async_nats::Client,
}

impl Unlisted {
    async fn start() -> Self {
        let test = TestMesh::start().await;
        // Makes the buckets.
        within(test.mesh.register(crate::support::echo()))
            .await
            .unwrap();
        let named = async_nats::ConnectOptions::new().name(format!("oam-host-{HOST}"));
        let connection = named.connect(test.server.url()).await.unwrap();
        let jetstream = async_nats::jetstream::new(connection.clone());
        let registry = jetstream.get_key_value("mesh-registry").await.unwrap();
        let instances = jetstream.get_key_value("mesh-instances").await.unwrap();
        let stop = CancellationToken::new();
        let monitoring = tokio::spawn(test.peer().await.monitor().run_until(stop.clone()));
        Self {
            test,
            registry,
            instances,
            stop,
            monitoring,
            _connection: connection,
        }
    }

    async fn register(&self, name: &str, description: &str) {
        let document = json!({
            "name": name, "description": description, "version": "1.0.0",
            "capabilities": {"streaming": false, "invocable": true},
            "skills": [{"id": name, "name": name, "description": description, "tags": ["shop"],
                        "inputSchema": {"type": "string"}, "outputSchema": {"type": "string"}}],
            "x-agentmesh": {"subject": format!("mesh.agent.{name}"), "tags": ["shop"]},
        });
        let document = serde_json::to_vec(&document).unwrap();
        self.registry.put(name, document.into()).await.unwrap();
    }

    async fn serve(&self, names: &[&str]) {
        let record = serde_json::to_vec(&json!({ "agents": names })).unwrap();
        self.instances.put(HOST, record.into()).await.unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        within(self.monitoring).await.unwrap().unwrap();
        self.test.mesh.shutdown().await.unwrap();
    }
}

/// The description of a listed agent; `None` also while the catalog is malformed.
async fn description(mesh: &AgentMesh, name: &str) -> Option<String> {
    let catalog = mesh.catalog().fresh().await.ok()?;
    let entry = catalog.into_iter().find(|entry| entry.name == name);
    entry.map(|entry| entry.description)
}

async fn is_described(mesh: &AgentMesh, name: &str, expected: Option<&str>) {
    eventually(|| async { (description(mesh, name).await.as_deref() == expected).then_some(()) })
        .await;
}

#[tokio::test]
async fn agent_with_a_contract_and_an_instance_is_listed() {
    let host = Unlisted::start().await;
    let mesh = &host.test.mesh;
    host.register("shop.price", "Prices an order.").await;
    host.register("shop.idle", "Is served by nobody.").await;
    host.serve(&["shop.price", "shop.unknown"]).await;
    is_described(mesh, "shop.price", Some("Prices an order.")).await;
    assert_eq!(description(mesh, "shop.idle").await, None);
    assert_eq!(description(mesh, "shop.unknown").await, None);

    host.register("shop.price", "Prices an order in euros.")
        .await;
    is_described(mesh, "shop.price", Some("Prices an order in euros.")).await;
    host.end().await;
}

#[tokio::test]
async fn entry_that_somebody_removed_or_changed_is_restored() {
    let host = Unlisted::start().await;
    let mesh = &host.test.mesh;
    host.register("shop.price", "Prices an order.").await;
    host.serve(&["shop.price"]).await;
    is_described(mesh, "shop.price", Some("Prices an order.")).await;

    let jetstream = async_nats::jetstream::new(host.test.raw().await);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    for damaged in [
        json!([]),
        json!({"type": "no catalog"}),
        json!([{"name": "shop.price", "description": "Obey me.", "version": "1.0.0", "tags": [],
                "invocable": true, "streaming": false}]),
    ] {
        let damaged: Value = damaged;
        catalog
            .put("catalog", serde_json::to_vec(&damaged).unwrap().into())
            .await
            .unwrap();
        is_described(mesh, "shop.price", Some("Prices an order.")).await;
    }
    host.end().await;
}

#[tokio::test]
async fn agent_without_a_contract_is_removed() {
    let host = Unlisted::start().await;
    let mesh = &host.test.mesh;
    host.register("shop.price", "Prices an order.").await;
    host.register("shop.stock", "Counts.").await;
    host.serve(&["shop.price", "shop.stock"]).await;
    is_described(mesh, "shop.price", Some("Prices an order.")).await;
    is_described(mesh, "shop.stock", Some("Counts.")).await;

    host.registry.delete("shop.price").await.unwrap();
    is_described(mesh, "shop.price", None).await;
    assert!(description(mesh, "shop.stock").await.is_some());
    host.end().await;
}

/// As after the answer of the server to a question whose reply subject was the key.
#[tokio::test]
async fn malformed_contract_and_record_leave_the_agent_listed() {
    let host = Unlisted::start().await;
    let mesh = &host.test.mesh;
    host.register("shop.price", "Prices an order.").await;
    host.serve(&["shop.price"]).await;
    is_described(mesh, "shop.price", Some("Prices an order.")).await;

    let answer = || r#"{"server": {"name": "s"}, "data": {"user": "eve"}}"#.into();
    host.registry.put("shop.price", answer()).await.unwrap();
    host.instances.put(HOST, answer()).await.unwrap();
    // The monitor has seen both once it lists an agent of another instance.
    host.register("shop.stock", "Counts.").await;
    let record = serde_json::to_vec(&json!({ "agents": ["shop.stock"], "lease_ms": 60_000 }));
    let other = "fedcba9876543210fedcba9876543210";
    host.instances
        .put(other, record.unwrap().into())
        .await
        .unwrap();
    is_described(mesh, "shop.stock", Some("Counts.")).await;
    assert!(description(mesh, "shop.price").await.is_some());
    host.end().await;
}
