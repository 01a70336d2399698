//! Ways around the permissions.

use std::time::Duration;

use openagentmesh_auth::{Grants, Role};

use crate::support::{AuthServer, buckets};

/// A message of the server arrives long before.
const LIMIT: Duration = Duration::from_secs(2);

fn observer() -> Grants {
    Grants::builder(Role::Observer).build().unwrap()
}

fn worker() -> Grants {
    let builder = Grants::builder(Role::Worker);
    builder.agent("shop.price".parse().unwrap()).build().unwrap()
}

/// Experiments.
#[tokio::test]
async fn experiment_reply_subjects() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$KV.mesh-catalog.catalog", "[]").await;
    buckets::put(&operator, "$KV.mesh-registry.bank.pay", "{}").await;
    buckets::put(&operator, "$O.mesh-artifacts.C.x", "{\"pay\": 1}").await;
    let root = Grants::builder(Role::Operator).build().unwrap();
    let mut victim = server.client("victim", &root).await;
    victim.subscribe("mesh.agent.bank.pay").await.unwrap();
    let mut ada = server.client("ada", &worker()).await;
    for (subject, body) in [
        ("$JS.API.STREAM.INFO.KV_mesh-catalog", ""),
        ("$JS.API.STREAM.MSG.GET.KV_mesh-catalog", "{\"last_by_subj\": \"$KV.mesh-catalog.catalog\"}"),
        ("$KV.mesh-context.a", "{\"pay\": 1}"),
        ("$KV.mesh-registry.shop.price", "{}"),
        ("$SYS.REQ.USER.INFO", ""),
        ("$JS.API.DIRECT.GET.OBJ_mesh-artifacts", "{\"seq\": 1}"),
        ("$JS.API.DIRECT.GET.OBJ_mesh-artifacts", "{\"seq\": 1, \"no_hdr\": true}"),
        ("$JS.API.DIRECT.GET.OBJ_mesh-artifacts", "{\"batch\": 1, \"next_by_subj\": \">\", \"no_hdr\": true}"),
    ] {
        let said = ada.publish(subject, "mesh.agent.bank.pay", body).await;
        let message = victim.message(LIMIT).await;
        eprintln!("REPLY {subject}: said {said:?}, victim got {message:?}");
    }
    for target in [
        "$JS.API.STREAM.PURGE.KV_mesh-registry",
        "$KV.mesh-catalog.catalog",
        "$JS.API.STREAM.DELETE.KV_mesh-observability",
        "$JS.API.CONSUMER.CREATE.KV_mesh-registry",
    ] {
        for (subject, body) in [
            ("$JS.API.STREAM.INFO.KV_mesh-catalog", ""),
            ("$SYS.REQ.USER.INFO", ""),
            ("$KV.mesh-context.a", "{}"),
        ] {
            let said = ada.publish(subject, target, body).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let catalog = buckets::ask(&operator, "STREAM.INFO.KV_mesh-catalog", serde_json::Value::Null).await;
            let registry = buckets::ask(&operator, "STREAM.INFO.KV_mesh-registry", serde_json::Value::Null).await;
            let observability = buckets::ask(&operator, "STREAM.INFO.KV_mesh-observability", serde_json::Value::Null).await;
            eprintln!(
                "TARGET {target} by {subject}: said {said:?}; catalog {}, registry {} consumers {}, observability {}",
                catalog["state"], registry["state"]["messages"], registry["state"]["consumer_count"], observability["error"]
            );
        }
    }
}

#[tokio::test]
async fn experiment_headers() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$KV.mesh-registry.bank.pay", "{}").await;
    let mut ada = server.client("ada", &worker()).await;
    let said = ada.publish_with("$KV.mesh-registry.shop.price", "", &["Nats-Rollup: all"], "{}").await;
    eprintln!("ROLLUP said {said:?}, left {}", buckets::count(&operator, "KV_mesh-registry").await);
    let root = Grants::builder(Role::Operator).build().unwrap();
    let mut victim = server.client("victim", &root).await;
    victim.subscribe("mesh.agent.bank.pay").await.unwrap();
    let said = ada
        .publish_with("mesh.logs.shop.price", "", &["Nats-Trace-Dest: mesh.agent.bank.pay"], "{}")
        .await;
    eprintln!("TRACE said {said:?}, victim got {:?}", victim.message(LIMIT).await);
    // A subscription that is wider than what is allowed, with a queue group.
    let mut spy = server.client("spy", &observer()).await;
    for line in ["SUB mesh.agent.> q 90\r\n", "SUB mesh.agent.*.pay 91\r\n", "SUB *.agent.bank.pay 92\r\n", "SUB _INBOX.* 93\r\n", "SUB _INBOX.>.x 94\r\n", "SUB mesh.agent.*.*.events q 95\r\n"] {
        eprintln!("SUB {line:?}: {:?}", spy.say(line).await);
    }
}
