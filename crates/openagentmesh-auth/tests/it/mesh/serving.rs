//! Workers are listed, called and removed.

use futures::StreamExt;
use openagentmesh::AgentMesh;
use openagentmesh_auth::{Grants, Role};
use serde_json::{Value, json};

use super::{Mesh, agents, eventually, within};

/// The number of listed agents.
async fn listed(mesh: &AgentMesh) -> usize {
    within(mesh.catalog().fresh()).await.unwrap().len()
}

#[tokio::test]
async fn worker_is_listed_called_and_leaves() {
    let mesh = Mesh::start().await;
    let worker = mesh.worker("ada", "shop").await;
    within(worker.register(agents("shop"))).await.unwrap();
    let caller = mesh.invoker("bob").await;
    assert_eq!(listed(&caller).await, 3);
    assert_eq!(within(caller.discover()).await.unwrap().len(), 3);

    let length: usize = within(caller.call("shop.price", "abc")).await.unwrap();
    assert_eq!(length, 3);
    let chunks = within(caller.stream::<u32>("shop.count", 5_000)).await;
    let chunks: Vec<u32> = within(chunks.unwrap().map(Result::unwrap).collect()).await;
    assert!(chunks.into_iter().eq(0..5_000));
    let sent = within(caller.send("shop.price", "ab").reply::<usize>()).await;
    assert_eq!(within(sent.unwrap()).await.unwrap(), 2);
    let mut events = within(caller.subscribe::<u32>("shop.news")).await.unwrap();
    within(events.next()).await.unwrap().unwrap();

    within(worker.kv().put("motto", "fresh")).await.unwrap();
    let motto = within(caller.kv().get("motto")).await.unwrap().unwrap();
    assert_eq!(motto.text().unwrap(), "fresh");
    let content = vec![7; 300_000];
    within(worker.workspace().put("a.bin", content.clone()))
        .await
        .unwrap();
    let read = within(caller.workspace().get("a.bin")).await.unwrap();
    assert!(read == content, "the file is whole");

    within(worker.shutdown()).await.unwrap();
    eventually(|| async { (listed(&caller).await == 0).then_some(()) }).await;
    mesh.end().await;
}

#[tokio::test]
async fn agents_of_a_dead_worker_are_removed() {
    let mesh = Mesh::start().await;
    let worker = Grants::builder(Role::Worker).agent("shop.>".parse().unwrap());
    let credentials = mesh.server.user("ada", &worker.build().unwrap());
    let id = "ada.0123456789abcdef0123456789abcdef";
    let raw = async_nats::ConnectOptions::with_credentials(&credentials.to_text())
        .unwrap()
        .name(format!("oam-host-{id}"))
        .custom_inbox_prefix("_INBOX.ada")
        .connect(&mesh.server.address)
        .await
        .unwrap();
    let contract = json!({
        "name": "shop.price", "description": "Prices.", "version": "1.0.0",
        "capabilities": {"streaming": false, "invocable": true}, "skills": [],
        "x-agentmesh": {"subject": "mesh.agent.shop.price"},
    });
    let record = json!({ "agents": ["shop.price"] });
    let put = async |key: String, value: Value| {
        raw.request(key, value.to_string().into()).await.unwrap();
    };
    put("$KV.mesh-registry.shop.price".to_owned(), contract).await;
    put(format!("$KV.mesh-instances.{id}"), record).await;
    let caller = mesh.invoker("bob").await;
    eventually(|| async { (listed(&caller).await == 1).then_some(()) }).await;

    // The connection ends without a word to the mesh.
    drop(raw);
    eventually(|| async { (listed(&caller).await == 0).then_some(()) }).await;
    assert!(within(caller.discover()).await.unwrap().is_empty());
    mesh.end().await;
}

/// Each user can make the server publish its answers on the subjects of any agent.
#[tokio::test]
async fn answer_of_the_server_is_not_taken_for_a_request() {
    let mesh = Mesh::start().await;
    let worker = mesh.worker("ada", "shop").await;
    let (runs, mut run) = tokio::sync::mpsc::channel::<Value>(8);
    let pay = openagentmesh::AgentSpec::new("shop.pay", "Pays.").handler(move |order: Value| {
        let runs = runs.clone();
        async move { runs.send(order).await.unwrap() }
    });
    within(worker.register([pay])).await.unwrap();

    let observer = Grants::builder(Role::Observer).build().unwrap();
    let eve = mesh.server.nats("eve", &observer).await;
    for _ in 0..10 {
        let victim = "mesh.agent.shop.pay";
        let question = "$SYS.REQ.USER.INFO";
        eve.publish_with_reply(question, victim, "".into())
            .await
            .unwrap();
    }
    eve.flush().await.unwrap();
    // The server has answered these questions before this one.
    within(eve.request("$SYS.REQ.USER.INFO", "".into()))
        .await
        .unwrap();
    let caller = mesh.invoker("bob").await;
    within(caller.call::<Value>("shop.pay", "an order"))
        .await
        .unwrap();
    assert_eq!(run.recv().await.unwrap(), json!("an order"));
    assert!(run.try_recv().is_err(), "answers of the server were run");
    within(worker.shutdown()).await.unwrap();
    mesh.end().await;
}
