//! The buckets of a mesh.

use async_nats::Client;
use serde_json::{Value, json};

/// Sends a request to the server's storage and returns its answer.
pub(crate) async fn ask(client: &Client, subject: &str, request: Value) -> Value {
    let request = match request {
        Value::Null => String::new(),
        request => request.to_string(),
    };
    let subject = format!("$JS.API.{subject}");
    let answer = client.request(subject.clone(), request.into()).await;
    let answer = answer.unwrap_or_else(|error| panic!("{subject}: {error}"));
    serde_json::from_slice(&answer.payload).unwrap()
}

/// Creates the buckets as the SDK does, and without messages that replace all others, as `oam` does for users.
pub(crate) async fn create(operator: &Client) {
    for name in [
        "catalog",
        "registry",
        "instances",
        "observability",
        "context",
        "leases",
    ] {
        let stream = format!("KV_mesh-{name}");
        let config = json!({
            "name": stream, "subjects": [format!("$KV.mesh-{name}.>")], "max_msgs_per_subject": 1,
            "storage": "file", "deny_delete": true, "allow_rollup_hdrs": false, "discard": "new",
        });
        let created = ask(operator, &format!("STREAM.CREATE.{stream}"), config).await;
        assert!(created["error"].is_null(), "{created}");
    }
    let config = json!({
        "name": "OBJ_mesh-artifacts",
        "subjects": ["$O.mesh-artifacts.C.>", "$O.mesh-artifacts.M.>"],
        "storage": "file", "allow_rollup_hdrs": true, "discard": "new", "allow_direct": true,
    });
    let created = ask(operator, "STREAM.CREATE.OBJ_mesh-artifacts", config).await;
    assert!(created["error"].is_null(), "{created}");
}

/// Stores a message, and returns the acknowledgement or the error.
pub(crate) async fn put(client: &Client, subject: &str, body: &str) -> Value {
    let answer = client
        .request(subject.to_owned(), body.to_owned().into())
        .await;
    serde_json::from_slice(&answer.unwrap().payload).unwrap()
}

/// The sequence number of the last message of a stream.
pub(crate) async fn last_seq(operator: &Client, stream: &str) -> u64 {
    let info = ask(operator, &format!("STREAM.INFO.{stream}"), Value::Null).await;
    info["state"]["last_seq"].as_u64().unwrap()
}

/// The number of messages in a stream.
pub(crate) async fn count(operator: &Client, stream: &str) -> u64 {
    let info = ask(operator, &format!("STREAM.INFO.{stream}"), Value::Null).await;
    info["state"]["messages"].as_u64().unwrap()
}
