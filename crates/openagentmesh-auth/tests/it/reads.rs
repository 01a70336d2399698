//! What the roles are for works with their permissions: reading, following, registering, calling.

use std::time::Duration;

use futures::StreamExt;
use openagentmesh_auth::{Grants, Role};
use serde_json::{Value, json};

use crate::support::{AuthServer, buckets};

const LIMIT: Duration = Duration::from_secs(20);

async fn next(subscriber: &mut async_nats::Subscriber) -> async_nats::Message {
    tokio::time::timeout(LIMIT, subscriber.next()).await.unwrap().unwrap()
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
    for bucket in ["catalog", "registry", "instances", "observability", "context", "leases"] {
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
        worker.publish("mesh.stream.ada.0a.1", "chunk".into()).await.unwrap();
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
async fn narrow_access_to_values_reads_and_writes_single_keys() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$KV.mesh-context.limits.retries", "3").await;
    buckets::put(&operator, "$KV.mesh-context.secret", "x").await;
    let grants = Grants::builder(Role::Invoker).kv(vec![
        "limits.>:r".parse().unwrap(),
        "notes:rw".parse().unwrap(),
    ]);
    let grants = grants.build().unwrap();
    let ada = server.nats("ada", &grants).await;
    let get = |key: &str| format!("$JS.API.DIRECT.GET.KV_mesh-context.$KV.mesh-context.{key}");
    let found = ada.request(get("limits.retries"), "".into()).await.unwrap();
    assert_eq!(found.payload, "3");
    assert_eq!(buckets::put(&ada, "$KV.mesh-context.notes", "n").await["seq"], 3);
    let mut raw = server.client("bob", &grants).await;
    assert!(raw.publish(&get("secret"), "", "").await.is_err());
    assert!(raw.publish("$KV.mesh-context.limits.retries", "", "9").await.is_err());
    for bucket_wide in [
        "$JS.API.STREAM.MSG.GET.KV_mesh-context",
        "$JS.API.DIRECT.GET.KV_mesh-context",
    ] {
        assert!(raw.publish(bucket_wide, "", "").await.is_err(), "{bucket_wide}");
    }
    assert!(raw.subscribe("$KV.mesh-context.>").await.is_err());
    raw.subscribe("$KV.mesh-context.limits.>").await.unwrap();
}

#[tokio::test]
async fn access_to_one_file_reaches_no_other() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    // "may.txt" in base64.
    let metadata = "$O.mesh-artifacts.M.bWF5LnR4dA==";
    buckets::put(&operator, metadata, "{\"name\": \"may.txt\"}").await;
    buckets::put(&operator, "$O.mesh-artifacts.M.b3RoZXI=", "{}").await;
    let grants = Grants::builder(Role::Observer).files(vec!["may.txt:r".parse().unwrap()]);
    let grants = grants.build().unwrap();
    let ada = server.nats("ada", &grants).await;
    let get = |subject: &str| format!("$JS.API.DIRECT.GET.OBJ_mesh-artifacts.{subject}");
    let found = ada.request(get(metadata), "".into()).await.unwrap();
    assert_eq!(found.payload, "{\"name\": \"may.txt\"}");
    let mut raw = server.client("bob", &grants).await;
    assert!(raw.publish(&get("$O.mesh-artifacts.M.b3RoZXI="), "", "").await.is_err());
    assert!(raw.publish("$JS.API.DIRECT.GET.OBJ_mesh-artifacts", "", "").await.is_err());
    assert!(raw.publish(metadata, "", "{}").await.is_err());
    assert!(raw.subscribe("$O.mesh-artifacts.M.>").await.is_err());
    raw.subscribe(metadata).await.unwrap();
}
