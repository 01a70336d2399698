//! The six buckets of a mesh: who creates them, and when.

use async_nats::jetstream;
use futures::StreamExt;
use openagentmesh::protocol::bucket::{
    ARTIFACTS, CATALOG, CONTEXT, INSTANCES, OBSERVABILITY, REGISTRY,
};

use crate::support::{TestMesh, echo, eventually, subscribed, within};

/// The names of the streams of all buckets.
fn streams() -> Vec<String> {
    let key_value = [CATALOG, REGISTRY, INSTANCES, OBSERVABILITY, CONTEXT];
    let mut streams: Vec<_> = key_value.iter().map(|name| format!("KV_{name}")).collect();
    streams.push(format!("OBJ_{ARTIFACTS}"));
    streams
}

async fn exist(test: &TestMesh) -> bool {
    let jetstream = jetstream::new(test.raw().await);
    for stream in streams() {
        if jetstream.get_stream(&stream).await.is_err() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn host_creates_all_buckets_before_its_first_agent_is_listed() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let mut entries = subscribed(&raw, "$KV.mesh-catalog.catalog").await;
    let mesh = test.peer().await;
    let registering = tokio::spawn(async move {
        mesh.register(echo()).await.unwrap();
        mesh
    });
    within(entries.next()).await.unwrap();
    assert!(exist(&test).await);
    within(registering).await.unwrap();

    // A consumer that only opens buckets can put a value.
    let jetstream = jetstream::new(raw);
    let context = jetstream.get_key_value(CONTEXT).await.unwrap();
    context.put("key", "value".into()).await.unwrap();
    assert_eq!(
        &test.mesh.kv().get("key").await.unwrap().unwrap().value[..],
        b"value"
    );
}

#[tokio::test]
async fn create_buckets_is_idempotent_and_keeps_values() {
    let test = TestMesh::start().await;
    assert!(!exist(&test).await);
    test.mesh.create_buckets().await.unwrap();
    assert!(exist(&test).await);
    test.mesh.kv().put("key", "value").await.unwrap();
    let others = [test.peer().await, test.peer().await];
    for created in futures::future::join_all(others.iter().map(|mesh| mesh.create_buckets())).await
    {
        created.unwrap();
    }
    assert!(test.mesh.kv().get("key").await.unwrap().is_some());
}

#[tokio::test]
async fn host_creates_lost_buckets_with_the_lost_catalog() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let jetstream = jetstream::new(test.raw().await);
    for stream in streams() {
        jetstream.delete_stream(stream).await.unwrap();
    }
    eventually(|| async { exist(&test).await.then_some(()) }).await;
}
