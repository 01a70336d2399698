//! Buckets that cannot be used, and values that no SDK would have stored.

use crate::support::{PlainServer, TestMesh, eventually, poison, within};
use futures::StreamExt;
use openagentmesh::{Error, ErrorCode, KvChange};

#[tokio::test]
async fn server_without_jetstream_is_storage_error() {
    let server = PlainServer::start(None).await;
    let mesh = server.connect().await;
    let mut errors: Vec<Error> = vec![
        within(mesh.kv().get("key")).await.unwrap_err(),
        within(mesh.kv().put("key", "x")).await.unwrap_err(),
        within(mesh.kv().list(">")).await.unwrap_err(),
        within(mesh.kv().watch(">")).await.unwrap_err(),
        within(mesh.workspace().put("file", "x")).await.unwrap_err(),
        within(mesh.workspace().get("file")).await.unwrap_err(),
    ];
    errors.push(within(mesh.catalog().fresh()).await.unwrap_err());
    for error in errors {
        assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
        assert!(error.message().contains("JetStream unavailable"), "{error}");
    }
}

/// Stores a message whose headers are `lines`, past every check of a client.
async fn store_with_headers(test: &TestMesh, key: &str, lines: &str, body: &str) {
    let (subject, headers) = (
        format!("$KV.mesh-context.{key}"),
        format!("NATS/1.0\r\n{lines}\r\n\r\n"),
    );
    poison::publish(
        test.server.url(),
        &subject,
        headers.as_bytes(),
        body.as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn stored_message_with_odd_headers_is_a_value_or_storage_error() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    kv.put("first", "x").await.unwrap();
    for lines in ["KV-Operation: ODD", "Nats-Marker-Reason: Odd", "X: a\r\n b"] {
        store_with_headers(&test, "odd", lines, "").await;
        let entry = within(kv.get("odd")).await.unwrap().unwrap();
        assert!(entry.value.is_empty());
        assert_eq!(kv.list("odd").await.unwrap(), [entry]);
    }
    for lines in [
        "KV-Operation: DEL",
        "KV-Operation: PURGE",
        "Nats-Marker-Reason: MaxAge",
    ] {
        store_with_headers(&test, "odd", lines, "").await;
        assert_eq!(within(kv.get("odd")).await.unwrap(), None, "{lines}");
        assert!(kv.list("odd").await.unwrap().is_empty());
    }
    let mut watch = within(kv.watch("odd").updates_only()).await.unwrap();
    kv.create("odd", "again").await.unwrap();
    let change = within(watch.next()).await.unwrap().unwrap();
    assert!(matches!(change, KvChange::Put(entry) if &entry.value[..] == b"again"));
    // A client that receives the next message loses its connection. The bucket itself is read without it.
    let raw = test.raw().await;
    drop(watch);
    let jetstream = async_nats::jetstream::new(raw);
    let stream = jetstream.get_stream("KV_mesh-context").await.unwrap();
    eventually(|| async {
        let mut consumers = stream.consumer_names();
        consumers.next().await.is_none().then_some(())
    })
    .await;

    store_with_headers(&test, "odd", "no colon", "x").await;
    let error = within(kv.get("odd")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
    kv.put("odd", "replaced").await.unwrap();
    let entry = within(kv.get("odd")).await.unwrap().unwrap();
    assert_eq!(entry.text().unwrap(), "replaced");
}
