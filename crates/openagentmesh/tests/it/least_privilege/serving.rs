//! Hosts that may not write the catalog: somebody else lists their agents.

use std::time::Duration;

use async_nats::jetstream;
use futures::{StreamExt, stream};
use openagentmesh::{AgentMesh, AgentSpec};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::{Secured, denied};
use crate::support::permissions::Permissions;
use crate::support::{eventually, within};

/// Lists the agents whose contracts are in the registry, until it is dropped: a monitor does so.
struct Lister(AbortHandle);

impl Lister {
    async fn start(server: &Secured) -> Self {
        let jetstream = jetstream::new(server.raw().await);
        let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
        let registry = jetstream.get_key_value("mesh-registry").await.unwrap();
        let mut changes = registry.watch_all().await.unwrap();
        let listing = tokio::spawn(async move {
            while changes.next().await.is_some() {
                let mut names: Vec<String> = registry
                    .keys()
                    .await
                    .unwrap()
                    .map(Result::unwrap)
                    .collect()
                    .await;
                names.sort();
                let mut entries = Vec::new();
                for name in names {
                    if let Some(contract) = registry.get(name).await.unwrap() {
                        entries.push(entry(&serde_json::from_slice(&contract).unwrap()));
                    }
                }
                let json = serde_json::to_vec(&entries).unwrap();
                catalog.put("catalog", json.into()).await.unwrap();
            }
        });
        Self(listing.abort_handle())
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn entry(contract: &Value) -> Value {
    json!({
        "name": contract["name"],
        "description": contract["description"],
        "version": contract["version"],
        "tags": contract["x-agentmesh"]["tags"],
        "invocable": contract["capabilities"]["invocable"],
        "streaming": contract["capabilities"]["streaming"],
    })
}

fn shop(name: &str) -> openagentmesh::Agent {
    AgentSpec::new(name, "Echoes.").handler(|text: String| async move { text })
}

fn users() -> [(&'static str, Permissions); 2] {
    [
        (
            "bob",
            Permissions::worker("bob", "shop.>")
                .kv(Some(">"))
                .files(true),
        ),
        ("ann", Permissions::invoker("ann", ">")),
    ]
}

async fn listed(mesh: &AgentMesh) -> Vec<String> {
    let listed = within(mesh.catalog().channel("shop").fresh())
        .await
        .unwrap();
    listed
        .into_iter()
        .map(|entry| entry.name.to_string())
        .collect()
}

#[tokio::test]
async fn worker_serves_its_agents_and_leaves() {
    let server = Secured::start(&users()).await;
    let _lister = Lister::start(&server).await;
    let (host, caller) = (server.user("bob").await, server.user("ann").await);
    let count = AgentSpec::new("shop.count", "Counts.").handler(|to: u32| stream::iter(0..to));
    let ticker = AgentSpec::new("shop.ticker", "Ticks.").handler(|| stream::iter(0_u32..));
    let failing = AgentSpec::new("shop.failing", "Fails.")
        .handler(|_: String| async { Err::<String, _>(std::io::Error::other("broken")) });
    within(host.register([shop("shop.echo"), count, ticker, failing]))
        .await
        .unwrap();
    within(host.register(shop("shop.second"))).await.unwrap();
    assert_eq!(listed(&caller).await.len(), 5);
    let reply: String = within(caller.call("shop.echo", "x")).await.unwrap();
    assert_eq!(reply, "x");
    // A retry, to this process alone.
    let at_instance = format!("mesh.instance.{}.request.shop.echo", host.instance_id());
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Request-Id", "0123456789abcdef0123456789abcdef");
    let raw = server.raw().await;
    let asked = raw.request_with_headers(at_instance, headers, "\"x\"".into());
    assert_eq!(within(asked).await.unwrap().payload, "\"x\"");
    let error = within(caller.call::<String>("shop.failing", "x"))
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "handler_error");
    let mut chunks = within(caller.stream::<u32>("shop.count", 5_000))
        .await
        .unwrap();
    let mut received = 0;
    while let Some(chunk) = within(chunks.next()).await {
        chunk.unwrap();
        received += 1;
    }
    assert_eq!(received, 5_000);
    let mut events = within(caller.subscribe::<u32>("shop.ticker"))
        .await
        .unwrap();
    within(events.next()).await.unwrap().unwrap();
    within(host.kv().put("key", "value")).await.unwrap();
    within(host.workspace().put("file", "content"))
        .await
        .unwrap();
    let instances = within(caller.instances()).await.unwrap();
    assert!(
        instances
            .iter()
            .any(|instance| instance.id == *host.instance_id())
    );

    within(host.shutdown()).await.unwrap();
    eventually(|| async { listed(&caller).await.is_empty().then_some(()) }).await;
    let instances = within(caller.instances()).await.unwrap();
    assert!(
        !instances
            .iter()
            .any(|instance| instance.id == *host.instance_id())
    );
}

#[tokio::test]
async fn worker_registers_and_calls_no_other_agents() {
    let server = Secured::start(&users()).await;
    let _lister = Lister::start(&server).await;
    let host = server.user("bob").await;
    denied("register", "mesh.agent.other", host.register(shop("other"))).await;
    denied("call", "mesh.agent.echo", host.call::<String>("echo", "x")).await;
    let listed = within(server.admin.catalog().fresh()).await.unwrap();
    assert_eq!(listed.len(), 1, "the agent of the other user: {listed:?}");
}

/// The contract of an agent stays while another replica serves it.
#[tokio::test]
async fn agent_stays_registered_until_its_last_host_leaves() {
    let server = Secured::start(&users()).await;
    let _lister = Lister::start(&server).await;
    let (one, two) = (server.user("bob").await, server.user("bob").await);
    within(one.register(shop("shop.echo"))).await.unwrap();
    within(two.register(shop("shop.echo"))).await.unwrap();
    within(one.shutdown()).await.unwrap();
    let caller = server.user("ann").await;
    assert_eq!(listed(&caller).await, ["shop.echo"]);
    within(caller.contract("shop.echo")).await.unwrap();
    let reply: String = within(caller.call("shop.echo", "x")).await.unwrap();
    assert_eq!(reply, "x");
    within(two.shutdown()).await.unwrap();
    eventually(|| async { listed(&caller).await.is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn registration_without_a_monitor_fails_and_leaves_nothing() {
    let server = Secured::start(&users()).await;
    let host = server.user("bob").await;
    let error = within(host.register(shop("shop.echo"))).await.unwrap_err();
    assert_eq!(error.code().as_str(), "connection_denied", "{error}");
    assert_eq!(error.details()["subject"], "$KV.mesh-catalog.catalog");
    assert!(error.message().contains("oam mesh monitor"), "{error}");
    let contract = within(server.admin.contract("shop.echo"))
        .await
        .unwrap_err();
    assert_eq!(contract.code().as_str(), "not_found");
    let instances = within(server.admin.instances()).await.unwrap();
    assert_eq!(instances.len(), 1, "that of the other user: {instances:?}");
}

/// Another process removes the contract of an agent that is served.
#[tokio::test]
async fn contract_of_a_served_agent_is_restored() {
    let server = Secured::start(&users()).await;
    let _lister = Lister::start(&server).await;
    let host = server.user("bob").await;
    within(host.register(shop("shop.echo"))).await.unwrap();
    let jetstream = jetstream::new(server.raw().await);
    let registry = jetstream.get_key_value("mesh-registry").await.unwrap();
    registry.delete("shop.echo").await.unwrap();
    let caller = server.user("ann").await;
    tokio::time::timeout(
        Duration::from_secs(30),
        eventually(|| async { caller.contract("shop.echo").await.ok() }),
    )
    .await
    .unwrap();
}
