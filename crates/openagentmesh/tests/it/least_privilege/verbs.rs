//! What callers and observers may do.

use futures::stream;
use openagentmesh::{AgentMesh, AgentSpec, Error};

use super::{Secured, denied};
use crate::support::permissions::Permissions;
use crate::support::{echo, eventually, within};

/// Registers "shop.echo", "shop.count" and "shop.ticker" as the user without restrictions.
async fn register_shop(admin: &AgentMesh) {
    let echo = AgentSpec::new("shop.echo", "Echoes.").handler(|text: String| async move { text });
    let count = AgentSpec::new("shop.count", "Counts.").handler(|to: u32| stream::iter(0..to));
    let ticker = AgentSpec::new("shop.ticker", "Ticks.").handler(|| stream::iter(0_u32..));
    within(admin.register([echo, count, ticker])).await.unwrap();
}

/// The reply of a send, for a callback.
async fn sent(mesh: &AgentMesh, agent: &str) -> Result<String, Error> {
    let (reply, received) = tokio::sync::oneshot::channel();
    let reply = std::sync::Arc::new(std::sync::Mutex::new(Some(reply)));
    let failed = std::sync::Arc::clone(&reply);
    mesh.send(agent, "x")
        .on_reply(move |text: String| async move {
            drop(
                reply
                    .lock()
                    .unwrap()
                    .take()
                    .map(|reply| reply.send(Ok(text))),
            );
        })
        .on_error(move |error| async move {
            drop(
                failed
                    .lock()
                    .unwrap()
                    .take()
                    .map(|reply| reply.send(Err(error))),
            );
        })
        .await?;
    received.await.unwrap()
}

async fn count(mesh: &AgentMesh, to: u32) -> Result<u32, Error> {
    let mut chunks = mesh.stream::<u32>("shop.count", to).await?;
    let mut received = 0;
    while let Some(chunk) = chunks.next().await {
        assert_eq!(chunk?, received);
        received += 1;
    }
    Ok(received)
}

#[tokio::test]
async fn invoker_finds_and_calls_its_agents_only() {
    for agents in ["shop.>", ">"] {
        let users = [("ann", Permissions::invoker("ann", agents))];
        let server = Secured::start(&users).await;
        register_shop(&server.admin).await;
        let mesh = server.user("ann").await;
        assert_eq!(within(mesh.catalog()).await.unwrap().len(), 4);
        assert_eq!(within(mesh.discover()).await.unwrap().len(), 4);
        within(mesh.contract("shop.count")).await.unwrap();
        assert!(
            within(mesh.call::<String>("shop.absent", "x"))
                .await
                .is_err()
        );
        for _ in 0..2 {
            let reply: String = within(mesh.call("shop.echo", "x")).await.unwrap();
            assert_eq!(reply, "x");
            // More than one window of credit.
            assert_eq!(within(count(&mesh, 5_000)).await.unwrap(), 5_000);
            assert_eq!(within(sent(&mesh, "shop.echo")).await.unwrap(), "x");
        }
        let mut events = within(mesh.subscribe::<u32>("shop.ticker")).await.unwrap();
        within(events.next()).await.unwrap().unwrap();
        if agents == "shop.>" {
            let subject = "mesh.agent.echo";
            denied("call", subject, mesh.call::<String>("echo", "x")).await;
            denied("send", subject, sent(&mesh, "echo")).await;
            denied("send", subject, mesh.send("echo", "x")).await;
        }
        denied(
            "kv",
            "$JS.API.STREAM.INFO.KV_mesh-context",
            mesh.kv().get("a"),
        )
        .await;
        denied(
            "files",
            "$JS.API.STREAM.INFO.OBJ_",
            mesh.workspace().list(""),
        )
        .await;
        denied("register", "mesh.agent.echo", mesh.register(echo())).await;
    }
}

#[tokio::test]
async fn observer_sees_agents_and_events_and_calls_nothing() {
    let users = [("ann", Permissions::observer("ann").kv(None).files(false))];
    let server = Secured::start(&users).await;
    register_shop(&server.admin).await;
    let mesh = server.user("ann").await;
    assert_eq!(within(mesh.catalog()).await.unwrap().len(), 4);
    assert_eq!(within(mesh.discover()).await.unwrap().len(), 4);
    within(mesh.contract("shop.count")).await.unwrap();
    assert_eq!(within(mesh.instances()).await.unwrap().len(), 1);
    let mut events = within(mesh.subscribe::<u32>("shop.ticker")).await.unwrap();
    within(events.next()).await.unwrap().unwrap();
    denied("call", "mesh.agent.", mesh.call::<String>("shop.echo", "x")).await;
    denied("stream", "mesh.", count(&mesh, 1)).await;
    denied("send", "mesh.", sent(&mesh, "shop.echo")).await;
    denied("publish", "news", mesh.publish("news", 1)).await;
    denied(
        "subscribe",
        "mesh.agent.>",
        mesh.subscribe_subject::<u32>("mesh.agent.>"),
    )
    .await;
    denied("put", "$KV.mesh-context.a", mesh.kv().put("a", "x")).await;
}

/// The catalog is followed by the subject of its writes.
#[tokio::test]
async fn changes_of_the_catalog_arrive_without_consumers() {
    let users = [("ann", Permissions::observer("ann"))];
    let server = Secured::start(&users).await;
    let mesh = server.user("ann").await;
    assert_eq!(within(mesh.catalog()).await.unwrap().len(), 1);
    register_shop(&server.admin).await;
    eventually(|| async {
        let listed = within(mesh.catalog()).await.unwrap();
        (listed.len() == 4).then_some(())
    })
    .await;
    within(mesh.wait_for("shop.ticker")).await.unwrap();
    within(server.admin.deregister(["shop.ticker"]))
        .await
        .unwrap();
    eventually(|| async {
        let listed = within(mesh.catalog()).await.unwrap();
        (listed.len() == 3).then_some(())
    })
    .await;
}
