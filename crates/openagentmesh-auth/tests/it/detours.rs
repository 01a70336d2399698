//! Ways around the permissions.
//!
//! The server sends its answer to the reply subject of a request without a look at permissions. So every user who may ask it
//! anything can make it publish its own JSON on any subject of the account: [`server_answers_reach_any_subject`]. The
//! roles prevent that the user chooses the text.

use std::time::Duration;

use openagentmesh_auth::{Action, Grants, Role, table};
use serde_json::{Value, json};

use crate::support::{AuthServer, Client, buckets};

/// A message of the server arrives long before.
const LIMIT: Duration = Duration::from_secs(20);

/// The role with the most subjects, except those that are documented as wide.
fn worker() -> Grants {
    let builder = Grants::builder(Role::Worker);
    builder
        .agent("shop.price".parse().unwrap())
        .build()
        .unwrap()
}

/// A client that receives the requests to `bank.pay`.
async fn bank(server: &AuthServer) -> Client {
    let grants = Grants::builder(Role::Worker).agent("bank.>".parse().unwrap());
    let mut bank = server.client("bank", &grants.build().unwrap()).await;
    bank.subscribe("mesh.agent.bank.pay").await.unwrap();
    bank
}

/// A known limit, which hosts and readers have to live with: see the page on permissions.
#[tokio::test]
async fn server_answers_reach_any_subject() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$KV.mesh-catalog.catalog", "[]").await;
    let mut bank = bank(&server).await;
    let mut ada = server.client("ada", &worker()).await;
    let last = json!({ "last_by_subj": "$KV.mesh-catalog.catalog", "no_hdr": true }).to_string();
    for (question, body, start) in [
        ("$JS.API.STREAM.INFO.KV_mesh-catalog", "", "{\"type\":"),
        (
            "$JS.API.STREAM.MSG.GET.KV_mesh-catalog",
            &*last,
            "{\"type\":",
        ),
        ("$KV.mesh-registry.shop.price", "{}", "{\"stream\":"),
        ("$SYS.REQ.USER.INFO", "", "{\"server\":"),
    ] {
        ada.publish(question, "mesh.agent.bank.pay", body)
            .await
            .unwrap();
        let message = bank.message(LIMIT).await.unwrap();
        // JSON of the server, without the headers of a request.
        assert!(message.text.starts_with(start), "{message:?}");
    }
    // A stored value is replaced by such JSON, which is not a catalog.
    ada.publish("$SYS.REQ.USER.INFO", "$KV.mesh-catalog.catalog", "")
        .await
        .unwrap();
    let started = std::time::Instant::now();
    while buckets::last_seq(&operator, "KV_mesh-catalog").await < 2 {
        assert!(
            started.elapsed() < LIMIT,
            "the answer was not stored; the limit may be gone"
        );
    }
}

/// An answer that reaches the server's own API is not taken for a request.
#[tokio::test]
async fn server_answers_are_no_requests_to_the_storage() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$KV.mesh-registry.bank.pay", "{}").await;
    let mut ada = server.client("ada", &worker()).await;
    for api in ["PURGE", "DELETE", "UPDATE"] {
        let target = format!("$JS.API.STREAM.{api}.KV_mesh-registry");
        for (question, body) in [
            ("$JS.API.STREAM.INFO.KV_mesh-catalog", ""),
            ("$KV.mesh-context.a", "{}"),
            ("$SYS.REQ.USER.INFO", ""),
        ] {
            ada.publish(question, &target, body).await.unwrap();
        }
    }
    // Answers come in order, so those before have been handled.
    ada.subscribe("_INBOX.ada.1").await.unwrap();
    let info = "$JS.API.STREAM.INFO.KV_mesh-catalog";
    ada.publish(info, "_INBOX.ada.1", "").await.unwrap();
    ada.message(LIMIT).await.unwrap();
    assert_eq!(buckets::count(&operator, "KV_mesh-registry").await, 1);
}

/// A direct get answers with the stored text alone, and with `no_hdr` not even with headers that tell where it is from. Who writes
/// and gets directly would publish anything anywhere.
#[tokio::test]
async fn direct_get_publishes_stored_text_anywhere_so_only_operators_have_it() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$O.mesh-artifacts.C.x", "{\"pay\": 1}").await;
    let mut bank = bank(&server).await;
    let root = Grants::builder(Role::Operator).build().unwrap();
    let mut root = server.client("root-2", &root).await;
    let get = "$JS.API.DIRECT.GET.OBJ_mesh-artifacts";
    root.publish(get, "mesh.agent.bank.pay", "{\"seq\": 1, \"no_hdr\": true}")
        .await
        .unwrap();
    assert_eq!(bank.message(LIMIT).await.unwrap().text, "{\"pay\": 1}");
    for column in table::columns().unwrap() {
        let is_operator = column.grants.role() == Role::Operator;
        for subject in [
            get,
            "$JS.API.DIRECT.GET.KV_mesh-context",
            "$JS.API.DIRECT.GET.KV_mesh-context.$KV.mesh-context.a",
        ] {
            let is_allowed = column.permissions.allows(Action::Publish, subject);
            assert_eq!(is_allowed, is_operator, "{} {subject}", column.title);
        }
    }
}

#[tokio::test]
async fn rolled_up_key_leaves_the_keys_of_others() {
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    buckets::put(&operator, "$KV.mesh-registry.bank.pay", "{}").await;
    let mut ada = server.client("ada", &worker()).await;
    ada.subscribe("_INBOX.ada.1").await.unwrap();
    for scope in ["all", "sub"] {
        let header = format!("Nats-Rollup: {scope}");
        let own = "$KV.mesh-registry.shop.price";
        ada.publish_with(own, "_INBOX.ada.1", &[&header], "{}")
            .await
            .unwrap();
        let answer = ada.message(LIMIT).await.unwrap();
        assert!(answer.text.contains("rollup not permitted"), "{answer:?}");
    }
    assert_eq!(buckets::count(&operator, "KV_mesh-registry").await, 1);
}

#[tokio::test]
async fn trace_is_sent_to_permitted_subjects_only() {
    let server = AuthServer::start().await;
    let mut ada = server.client("ada", &worker()).await;
    let header = ["Nats-Trace-Dest: mesh.agent.bank.pay"];
    let traced = ada
        .publish_with("mesh.logs.shop.price", "", &header, "{}")
        .await;
    assert!(traced.unwrap_err().contains("mesh.agent.bank.pay"));
}

/// The subject of an agent's events is below that of the requests to the channel with the agent's name.
#[tokio::test]
async fn worker_of_a_channel_does_not_receive_the_events_of_the_agent_of_that_name() {
    let of = |agents: &str| {
        let grants = Grants::builder(Role::Worker).agent(agents.parse().unwrap());
        grants.build().unwrap()
    };
    let server = AuthServer::start().await;
    let mut channel = server.client("ada", &of("shop.>")).await;
    channel.subscribe("mesh.agent.shop.>").await.unwrap();
    let denied = channel.subscribe("mesh.agent.shop.events").await;
    assert!(denied.unwrap_err().contains("mesh.agent.shop.events"));
    let mut agent = server.client("bob", &of("shop")).await;
    agent
        .publish("mesh.agent.shop.events", "", "1")
        .await
        .unwrap();
    let mut own = server.client("eve", &of("shop.>")).await;
    own.publish("mesh.agent.shop.orders.events", "", "2")
        .await
        .unwrap();
    let received = channel.message(LIMIT).await.unwrap();
    assert_eq!(received.subject, "mesh.agent.shop.orders.events");
}

#[tokio::test]
async fn wider_and_odd_subscriptions_are_denied() {
    let server = AuthServer::start().await;
    let mut ada = server.client("ada", &worker()).await;
    for (number, subscription) in [
        "mesh.agent.> q",
        "mesh.agent.*.price",
        "*.agent.bank.pay",
        "mesh.*.bank.pay",
        "mesh.agent.bank.pay q.bank.pay",
        "_INBOX.*",
        "_INBOX.*.x",
        "_INBOX.bob.x",
        "*.ada.x",
        "_INBOX.ada",
        "$KV.>",
        "$KV.*.catalog",
        "$O.mesh-artifacts.>",
        "$SYS.>",
        "$JS.>",
        "$JS.API.>",
        "$JS.EVENT.ADVISORY.>",
        "$SRV.>",
        ">",
    ]
    .into_iter()
    .enumerate()
    {
        let said = ada
            .say(&format!("SUB {subscription} {}\r\n", number + 100))
            .await;
        assert!(
            said.unwrap_err().contains("Permissions Violation"),
            "{subscription}"
        );
    }
}

/// A mirror or a source copies a stream, and a stream republishes, only if it may be created or changed.
#[tokio::test]
async fn nobody_but_an_operator_makes_the_server_copy_or_republish() {
    let requests: [(&str, Value); 5] = [
        (
            "STREAM.CREATE.copy",
            json!({ "name": "copy", "mirror": { "name": "KV_mesh-context" } }),
        ),
        (
            "STREAM.CREATE.copy",
            json!({ "name": "copy", "sources": [{ "name": "KV_mesh-context" }] }),
        ),
        (
            "STREAM.UPDATE.KV_mesh-context",
            json!({ "name": "KV_mesh-context", "subjects": ["$KV.mesh-context.>"],
                "republish": { "src": ">", "dest": "mesh.agent.bank.pay" } }),
        ),
        (
            "CONSUMER.CREATE.KV_mesh-context",
            json!({ "stream_name": "KV_mesh-context", "config": { "deliver_subject": "mesh.agent.bank.pay" } }),
        ),
        (
            "CONSUMER.CREATE.OBJ_mesh-artifacts.c",
            json!({ "stream_name": "OBJ_mesh-artifacts", "config": { "name": "c", "deliver_subject": "mesh.agent.bank.pay" } }),
        ),
    ];
    let server = AuthServer::start().await;
    let operator = server.operator().await;
    buckets::create(&operator).await;
    let user = table::user().unwrap();
    for column in table::columns().unwrap() {
        if matches!(column.grants.role(), Role::Operator | Role::WorkerPython) {
            continue;
        }
        let mut client = server.client(user.as_str(), &column.grants).await;
        for (api, request) in &requests {
            let subject = format!("$JS.API.{api}");
            let said = client
                .publish(&subject, "_INBOX.ada.1", &request.to_string())
                .await;
            let denied = said.unwrap_err();
            assert!(denied.contains(&subject), "{}: {denied}", column.title);
        }
        server.store.revoke(&user).unwrap();
    }
}
