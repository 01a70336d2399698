//! Files whose stored description or chunks were changed.

use async_nats::jetstream;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use futures::StreamExt;
use openagentmesh::{Error, ErrorCode};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::support::{TestMesh, within};
use crate::workspace::{CHUNK, noise};

/// Rewrites the stored description of a file.
pub(crate) async fn tamper(test: &TestMesh, name: &str, change: impl Fn(&mut Value)) {
    let jetstream = jetstream::new(test.raw().await);
    let stream = jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap();
    let subject = format!("$O.mesh-artifacts.M.{}", URL_SAFE.encode(name));
    let last = stream
        .get_last_raw_message_by_subject(&subject)
        .await
        .unwrap();
    let mut meta: Value = serde_json::from_slice(&last.payload).unwrap();
    change(&mut meta);
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Rollup", "sub");
    let json = meta.to_string();
    let sent = jetstream
        .publish_with_headers(subject, headers, json.into())
        .await;
    sent.unwrap().await.unwrap();
}

#[tokio::test]
async fn file_with_chunks_larger_than_declared_is_read_in_bounded_batches() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let content = noise(160 * CHUNK);
    files.put("file", content.clone()).await.unwrap();
    tamper(&test, "file", |meta| {
        meta["options"]["max_chunk_size"] = json!(1024);
    })
    .await;
    let raw = test.raw().await;
    let requests = "$JS.API.CONSUMER.MSG.NEXT.OBJ_mesh-artifacts.*";
    let mut requests = crate::support::subscribed(&raw, requests).await;
    assert!(within(files.get("file")).await.unwrap() == content);
    for _ in 0..2 {
        let request = within(requests.next()).await.unwrap();
        let request: Value = serde_json::from_slice(&request.payload).unwrap();
        let max_bytes = request["max_bytes"].as_u64().unwrap();
        assert!(max_bytes <= 12 * 1024 * 1024, "{request}");
    }
}

/// What is stored under the subject of one file says nothing about another one.
#[tokio::test]
async fn description_under_the_subject_of_another_file_is_not_believed() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let report = noise(10);
    files.put("report", report.clone()).await.unwrap();
    files.put("other", noise(20)).await.unwrap();
    for change in [json!({"size": 5}), json!({"deleted": true})] {
        tamper(&test, "other", |meta| {
            meta["name"] = json!("report");
            let members = change.as_object().unwrap().clone();
            meta.as_object_mut().unwrap().extend(members);
        })
        .await;
        let listed = within(files.list("")).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|file| (&*file.name, file.size)).collect();
        assert_eq!(listed, [("report", 10)]);
        assert!(within(files.get("report")).await.unwrap() == report);
        let error = within(files.get("other")).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
    }
}

#[tokio::test]
async fn damaged_file_is_a_digest_mismatch() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("file", noise(3 * CHUNK)).await.unwrap();
    tamper(&test, "file", |meta| {
        meta["digest"] = json!("SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=");
    })
    .await;
    let error = files.get("file").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::DigestMismatch, "{error}");
    let mut reader = files.get("file").reader().await.unwrap();
    let error = reader.read_to_end(&mut Vec::new()).await.unwrap_err();
    let inside = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(inside.code(), &ErrorCode::DigestMismatch);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "as it was").unwrap();
    files.get("file").to_file(&path).await.unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"as it was");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    // Other writers may omit the digest.
    tamper(&test, "file", |meta| {
        drop(meta.as_object_mut().unwrap().remove("digest"))
    })
    .await;
    assert!(files.get("file").await.unwrap() == noise(3 * CHUNK));

    let jetstream = jetstream::new(test.raw().await);
    let stream = jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap();
    stream.delete_message(2).await.unwrap();
    let error = within(files.get("file")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::DigestMismatch, "{error}");
    assert!(error.message().contains("missing"), "{error}");
}

/// Peers can write any description. Replacing or deleting it does not affect other files.
#[tokio::test]
async fn malformed_description_can_be_replaced() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("other", "stays").await.unwrap();
    for (name, wrong) in [("put", json!({"a": 1})), ("delete", json!(7))] {
        files.put(name, "x").await.unwrap();
        tamper(&test, name, |meta| meta["metadata"] = wrong.clone()).await;
        let error = files.get(name).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
        assert!(error.message().contains("malformed"), "{error}");
    }
    files.put("put", "again").await.unwrap();
    assert_eq!(&files.get("put").await.unwrap()[..], b"again");
    assert!(files.delete("delete").await.unwrap());

    files.put("evil", "x").await.unwrap();
    tamper(&test, "evil", |meta| meta["nuid"] = json!("*")).await;
    let error = files.get("evil").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::DigestMismatch);
    assert!(files.delete("evil").await.unwrap());
    assert_eq!(&files.get("other").await.unwrap()[..], b"stays");

    let large = "x".repeat(9_000_000);
    let error = files
        .put("large", "x")
        .metadata("note", large)
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::PayloadTooLarge, "{error}");
}
