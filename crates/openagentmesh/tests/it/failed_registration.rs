//! A registration that fails takes back only what it has written itself.

use async_nats::jetstream::kv::Store;
use futures::FutureExt;
use openagentmesh::{Agent, AgentMesh, AgentSpec, ErrorCode};
use serde_json::Value;

use crate::support::secured::SecuredServer;
use crate::support::{Proxy, TestMesh, eventually, within};

fn agent(name: &str, description: &str) -> Agent {
    AgentSpec::new(name, description).handler(|text: String| async move { text })
}

fn theirs() -> Vec<Agent> {
    vec![
        agent("shared", "Of the first host."),
        agent("alone", "Of the first host."),
    ]
}

fn ours() -> Vec<Agent> {
    vec![
        agent("shared", "Of the second host."),
        agent("new", "Of the second host."),
    ]
}

/// What is stored.
struct Stored {
    catalog: Store,
    registry: Store,
}

impl Stored {
    async fn new(raw: async_nats::Client) -> Self {
        let jetstream = async_nats::jetstream::new(raw);
        Self {
            catalog: jetstream.get_key_value("mesh-catalog").await.unwrap(),
            registry: jetstream.get_key_value("mesh-registry").await.unwrap(),
        }
    }

    /// Whether catalog and registry have what the first host has registered, and nothing of the second one.
    async fn is_of_the_first_host(&self) -> bool {
        let catalog = self.catalog.get("catalog").await.unwrap().unwrap();
        let catalog: Vec<Value> = serde_json::from_slice(&catalog).unwrap();
        let mut names: Vec<_> = catalog.iter().map(|entry| &entry["name"]).collect();
        names.sort_by_key(|name| name.to_string());
        let is_listed = names == ["alone", "shared"]
            && catalog
                .iter()
                .all(|entry| entry["description"] == "Of the first host.");
        let mut is_registered = self.registry.get("new").await.unwrap().is_none();
        for name in ["shared", "alone"] {
            let contract = self.registry.get(name).await.unwrap();
            is_registered &= contract.is_some_and(|contract| {
                let contract: Value = serde_json::from_slice(&contract).unwrap();
                contract["description"] == "Of the first host."
            });
        }
        is_listed && is_registered
    }
}

/// A server with JetStream, and two users, of whom "ann" has restrictions.
async fn restricted(permissions: &str) -> (SecuredServer, AgentMesh, AgentMesh, Stored) {
    let server = SecuredServer::restricted(permissions).await;
    let connect = |user: &str| {
        AgentMesh::builder()
            .url(server.url())
            .user_and_password(user, "pw")
    };
    let admin = connect("admin");
    let admin = eventually(|| admin.clone().connect().map(Result::ok)).await;
    within(admin.register(theirs())).await.unwrap();
    let second = within(connect("ann").connect()).await.unwrap();
    let raw = async_nats::ConnectOptions::with_user_and_password("admin".into(), "pw".into());
    let raw = raw.connect(server.url()).await.unwrap();
    let stored = Stored::new(raw).await;
    (server, admin, second, stored)
}

#[tokio::test]
async fn denied_registration_keeps_what_another_host_has() {
    for (permissions, step) in [
        (
            "publish: { deny: \"$JS.API.STREAM.MSG.GET.KV_mesh-catalog\" }, subscribe: { deny: \"nothing\" }",
            "read",
        ),
        ("publish: { deny: \"$KV.mesh-catalog.catalog\" }", "catalog"),
        (
            "publish: { deny: \"$KV.mesh-registry.new\" }",
            "contract of the new agent",
        ),
        (
            "publish: { deny: \"$KV.mesh-registry.shared\" }",
            "contract of the shared agent",
        ),
        ("subscribe: { deny: \"mesh.agent.new\" }", "subscription"),
    ] {
        let (_server, first, second, stored) = restricted(permissions).await;
        match within(second.register(ours())).await {
            Err(error) => {
                assert_eq!(
                    error.code(),
                    &ErrorCode::ConnectionDenied,
                    "{step}: {error}"
                );
            }
            // The cache has made the read unnecessary.
            Ok(()) => {
                assert_eq!(step, "read");
                continue;
            }
        }
        eventually(|| async { stored.is_of_the_first_host().await.then_some(()) }).await;
        assert_eq!(
            within(first.call::<String>("shared", "x")).await.unwrap(),
            "x"
        );
        assert_eq!(
            first.contract("shared").await.unwrap().description,
            "Of the first host."
        );
    }
}

#[tokio::test]
async fn oversized_registration_keeps_what_another_host_has() {
    let test = TestMesh::with_max_payload(16 * 1024).await;
    test.mesh.register(theirs()).await.unwrap();
    let stored = Stored::new(test.raw().await).await;
    let second = test.peer().await;
    let many = (0..200).map(|n| agent(&format!("agent{n}"), "One of many."));
    for agents in [
        ours().into_iter().chain(many).collect::<Vec<_>>(),
        ours()
            .into_iter()
            .chain([agent("large", &"x".repeat(20_000))])
            .collect(),
    ] {
        let error = within(second.register(agents)).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::PayloadTooLarge, "{error}");
        assert!(stored.is_of_the_first_host().await);
    }
}

#[tokio::test]
async fn malformed_catalog_fails_no_registration() {
    let test = TestMesh::start().await;
    test.mesh.register(theirs()).await.unwrap();
    let stored = Stored::new(test.raw().await).await;
    stored.catalog.put("catalog", "null".into()).await.unwrap();
    let second = test.peer().await;
    within(second.register(agent("new", "Of the second host.")))
        .await
        .unwrap();
    for name in ["shared", "alone", "new"] {
        eventually(|| async {
            let listed = test.mesh.catalog().channel(name).await.unwrap();
            (listed.len() == 1).then_some(())
        })
        .await;
        assert!(test.mesh.contract(name).await.is_ok());
    }
}

/// The connection is lost after the contracts were written, and restored later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_that_loses_its_connection_is_taken_back_after_the_reconnection() {
    let test = TestMesh::start().await;
    test.mesh.register(theirs()).await.unwrap();
    let stored = Stored::new(test.raw().await).await;
    let proxy = Proxy::start(&test).await;
    let second = AgentMesh::connect(&proxy.url).await.unwrap();
    second.catalog().await.unwrap();
    let raw = test.raw().await;
    let mut written = crate::support::subscribed(&raw, "$KV.mesh-registry.>").await;
    let registering = tokio::spawn({
        let second = second.clone();
        async move { second.register(ours()).await }
    });
    futures::StreamExt::next(&mut written).await.unwrap();
    proxy.close();
    let registered = tokio::time::timeout(std::time::Duration::from_secs(60), registering);
    let registered = registered.await.unwrap().unwrap();
    proxy.open();
    if registered.is_ok() {
        // The connection was lost too late.
        return;
    }
    eventually(|| async { stored.is_of_the_first_host().await.then_some(()) }).await;
}
