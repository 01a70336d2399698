//! The purposes of the roles work with their permissions: reading, following, registering, calling.

use std::time::Duration;

use futures::StreamExt;
use openagentmesh_auth::{Grants, Role};
use serde_json::{Value, json};

use crate::support::{AuthServer, buckets};

const LIMIT: Duration = Duration::from_secs(20);

async fn next(subscriber: &mut async_nats::Subscriber) -> async_nats::Message {
    tokio::time::timeout(LIMIT, subscriber.next())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn observer_reads_and_follows_without_a_consumer() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$KV.mesh-catalog.catalog", "[]").await;
    let grants = Grants::builder(Role::Observer).build().unwrap();
    let ada = server.nats("ada", &grants).await;
    let mut writes = ada.subscribe("$KV.mesh-catalog.>").await.unwrap();
    ada.flush().await.unwrap();
    for bucket in [
        "catalog",
        "registry",
        "instances",
        "observability",
        "context",
        "leases",
    ] {
        let info = buckets::ask(&ada, &format!("STREAM.INFO.KV_mesh-{bucket}"), Value::Null).await;
        assert!(info["error"].is_null(), "{info}");
    }
    let last = json!({ "last_by_subj": "$KV.mesh-catalog.catalog" });
    let found = buckets::ask(&ada, "STREAM.MSG.GET.KV_mesh-catalog", last).await;
    assert_eq!(found["message"]["data"], "W10=");
    let next_of_all = json!({ "seq": 1, "next_by_subj": "$KV.mesh-catalog.>" });
    let found = buckets::ask(&ada, "STREAM.MSG.GET.KV_mesh-catalog", next_of_all).await;
    assert_eq!(found["message"]["seq"], 1);
    buckets::put(&operator, "$KV.mesh-catalog.catalog", "[1]").await;
    assert_eq!(next(&mut writes).await.payload, "[1]");
}

#[tokio::test]
async fn worker_registers_and_answers_and_invoker_calls() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    let grants = Grants::builder(Role::Worker).agent("shop.>".parse().unwrap());
    let worker = server.nats("shop-1", &grants.build().unwrap()).await;
    let stored = buckets::put(&worker, "$KV.mesh-registry.shop.price", "{}").await;
    assert_eq!(stored["seq"], 1);
    let stored = buckets::put(&worker, "$KV.mesh-instances.shop-1.0a", "{}").await;
    assert_eq!(stored["seq"], 1);
    let queue = "q.shop.price".to_owned();
    let subscribing = worker.queue_subscribe("mesh.agent.shop.price", queue);
    let mut requests = subscribing.await.unwrap();
    worker.flush().await.unwrap();
    let answering = async {
        let request = next(&mut requests).await;
        let reply = request.reply.unwrap();
        worker.publish(reply, "3".into()).await.unwrap();
        worker
            .publish("mesh.stream.ada.0a.1", "chunk".into())
            .await
            .unwrap();
        worker.flush().await.unwrap();
    };
    let grants = Grants::builder(Role::Invoker).agent("shop.price".parse().unwrap());
    let ada = server.nats("ada", &grants.build().unwrap()).await;
    let mut chunks = ada.subscribe("mesh.stream.ada.0a.*").await.unwrap();
    let (answer, ()) = tokio::join!(ada.request("mesh.agent.shop.price", "1".into()), answering);
    assert_eq!(answer.unwrap().payload, "3");
    assert_eq!(next(&mut chunks).await.payload, "chunk");
}

#[tokio::test]
async fn narrow_access_writes_these_keys_and_files_alone() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    let grants = Grants::builder(Role::Invoker)
        .kv(vec!["limits.>:rw".parse().unwrap()])
        .files(vec!["may.txt:rw".parse().unwrap()]);
    let grants = grants.build().unwrap();
    let ada = server.nats("ada", &grants).await;
    let stored = buckets::put(&ada, "$KV.mesh-context.limits.retries", "3").await;
    assert_eq!(stored["seq"], 1);
    // "may.txt" in base64.
    let stored = buckets::put(&ada, "$O.mesh-artifacts.M.bWF5LnR4dA==", "{}").await;
    assert_eq!(stored["seq"], 1);
    let mut raw = server.client("bob", &grants).await;
    for other in [
        "$KV.mesh-context.secret",
        "$KV.mesh-context.limits",
        "$O.mesh-artifacts.M.b3RoZXI=",
    ] {
        assert!(raw.publish(other, "", "x").await.is_err(), "{other}");
    }
}

#[tokio::test]
async fn user_without_values_and_files_reaches_none() {
    let server = AuthServer::start().await;
    let grants = Grants::builder(Role::Invoker)
        .kv(Vec::new())
        .files(Vec::new());
    let mut raw = server.client("ada", &grants.build().unwrap()).await;
    for bucket in ["KV_mesh-context", "OBJ_mesh-artifacts"] {
        for api in ["STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET"] {
            let subject = format!("$JS.API.{api}.{bucket}");
            assert!(raw.publish(&subject, "", "").await.is_err(), "{subject}");
        }
    }
    assert!(raw.subscribe("$KV.mesh-context.>").await.is_err());
    assert!(raw.subscribe("$O.mesh-artifacts.>").await.is_err());
}
