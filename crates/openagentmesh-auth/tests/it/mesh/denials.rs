//! An operation that a role lacks fails at once, with the permission.

use std::time::{Duration, Instant};

use openagentmesh::{AgentMesh, Error, ErrorCode};
use openagentmesh_auth::{Grants, GrantsBuilder, Role};

use super::{Mesh, agents, within};

/// A denial arrives within a second, also on a busy machine; a timeout would take 30 s.
const LIMIT: Duration = Duration::from_secs(5);

/// The operations of the SDK that change something, or reach an agent.
async fn attempt(mesh: &AgentMesh, operation: &str) -> Result<(), Error> {
    match operation {
        "call" => mesh.call::<usize>("bank.price", "x").await.map(drop),
        "stream" => {
            let mut chunks = mesh.stream::<u32>("bank.count", 1).await?;
            chunks.next().await.unwrap().map(drop)
        }
        "send" => mesh.send("bank.price", "x").await.map(drop),
        "put a value" => mesh.kv().put("motto", "x").await.map(drop),
        "delete a value" => mesh.kv().delete("motto").await.map(drop),
        "put a file" => mesh.workspace().put("a.txt", "x").await.map(drop),
        "publish" => mesh.publish("orders.new", 1).await,
        "publish an event" => mesh.publish("mesh.agent.bank.news.events", 1).await,
        "see requests" => mesh
            .subscribe_subject::<u32>("mesh.agent.bank.price")
            .await
            .map(drop),
        "see replies" => mesh.subscribe_subject::<u32>("_INBOX.>").await.map(drop),
        "see streams" => mesh
            .subscribe_subject::<u32>("mesh.stream.>")
            .await
            .map(drop),
        "register" => mesh.register(agents("bank")).await.map(drop),
        _ => panic!("unknown operation {operation}"),
    }
}

const ALL: [&str; 12] = [
    "call",
    "stream",
    "send",
    "put a value",
    "delete a value",
    "put a file",
    "publish",
    "publish an event",
    "see requests",
    "see replies",
    "see streams",
    "register",
];

/// Each role, and the operations of [`ALL`] that it has.
fn roles() -> Vec<(&'static str, GrantsBuilder, Vec<&'static str>)> {
    let shop = || "shop.>".parse().unwrap();
    let bank = || "bank.>".parse().unwrap();
    let writes = vec!["put a value", "delete a value", "put a file"];
    let calls = vec!["call", "stream", "send"];
    let worker = || Grants::builder(Role::Worker).agent(shop());
    vec![
        ("observer", Grants::builder(Role::Observer), Vec::new()),
        (
            "invoker-shop",
            Grants::builder(Role::Invoker).agent(shop()),
            Vec::new(),
        ),
        (
            "invoker-bank",
            Grants::builder(Role::Invoker).agent(bank()),
            calls.clone(),
        ),
        ("worker", worker(), writes.clone()),
        (
            "worker-bank",
            worker().may_call(bank()),
            [writes, calls].concat(),
        ),
        ("monitor", Grants::builder(Role::Monitor), Vec::new()),
    ]
}

#[tokio::test]
async fn operation_that_a_role_lacks_is_denied_at_once() {
    let mesh = Mesh::start().await;
    let bank = mesh.worker("bank", "bank").await;
    within(bank.register(agents("bank"))).await.unwrap();
    for (name, grants, permitted) in roles() {
        let user = mesh.user(name, grants).await;
        for operation in ALL {
            let started = Instant::now();
            let ended = within(attempt(&user, operation)).await;
            let took = started.elapsed();
            if permitted.contains(&operation) {
                ended.unwrap_or_else(|error| panic!("{name}: {operation}: {error}"));
                continue;
            }
            let Err(error) = ended else {
                panic!("{name}: {operation} is permitted");
            };
            assert_eq!(
                error.code(),
                &ErrorCode::ConnectionDenied,
                "{name}: {operation}: {error}"
            );
            let subject = error.details()["subject"].as_str().unwrap();
            assert!(error.message().contains(subject), "{error}");
            assert!(took < LIMIT, "{name}: {operation} took {took:?}");
        }
        within(user.shutdown()).await.unwrap();
    }
    within(bank.shutdown()).await.unwrap();
    mesh.end().await;
}
