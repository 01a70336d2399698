//! A server that is restored from a backup: its buckets go back to an earlier state.

use std::path::{Path, PathBuf};

use crate::support::{PlainServer, Proxy, eventually, subscribed, within};
use async_nats::jetstream;
use futures::StreamExt;
use openagentmesh::{AgentMesh, Kv, KvChange, KvChanges};
use serde_json::json;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A server with a backup from which it can be restored, in which key "kept" is "old".
struct Restorable {
    server: PlainServer,
    storage: PathBuf,
    backup: PathBuf,
    _directory: tempfile::TempDir,
}

impl Restorable {
    async fn start() -> Self {
        Self::with_stored(async |_| ()).await
    }

    /// The backup also has what `store` writes.
    async fn with_stored(store: impl AsyncFnOnce(jetstream::Context)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = directory.path().join("storage");
        let backup = directory.path().join("backup");
        let mut server = PlainServer::start(Some(&storage)).await;
        // Before a mesh connects, which creates buckets.
        store(jetstream::new(plain_client(&server.url()).await)).await;
        let mesh = server.connect().await;
        mesh.kv().put("kept", "old").await.unwrap();
        mesh.shutdown().await.unwrap();
        server.stop().await;
        copy(&storage, &backup);
        server.start_again();
        Self {
            server,
            storage,
            backup,
            _directory: directory,
        }
    }

    async fn restore(&mut self) {
        self.server.stop().await;
        std::fs::remove_dir_all(&self.storage).unwrap();
        copy(&self.backup, &self.storage);
        self.server.start_again();
    }
}

async fn next(changes: &mut KvChanges) -> (String, String) {
    match within(changes.next()).await.unwrap().unwrap() {
        KvChange::Put(entry) => (entry.key.clone(), entry.text().unwrap().to_owned()),
        other => panic!("{other:?}"),
    }
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

async fn put_until_accepted(kv: &Kv, key: &str, value: &str) {
    eventually(|| async { kv.put(key, value).await.ok() }).await;
}

#[tokio::test]
async fn watch_of_restored_bucket_continues_with_its_values() {
    let mut restorable = Restorable::start().await;
    let mesh = restorable.server.connect().await;
    let kv = mesh.kv();
    let mut all = within(kv.watch(">")).await.unwrap();
    let mut updates = within(kv.watch(">").updates_only()).await.unwrap();
    assert_eq!(next(&mut all).await, pair("kept", "old"));
    for (key, value) in [("kept", "new"), ("lost", "x"), ("lost", "y")] {
        kv.put(key, value).await.unwrap();
        assert_eq!(next(&mut all).await, pair(key, value));
        assert_eq!(next(&mut updates).await, pair(key, value));
    }

    restorable.restore().await;
    assert_eq!(next(&mut all).await, pair("kept", "old"));
    assert_eq!(next(&mut updates).await, pair("kept", "old"));
    put_until_accepted(&kv, "after", "z").await;
    assert_eq!(next(&mut all).await, pair("after", "z"));
    assert_eq!(next(&mut updates).await, pair("after", "z"));
}

/// The restored bucket has more messages than the watch has seen when the watch is back.
#[tokio::test]
async fn watch_of_restored_bucket_that_was_written_since_continues_with_its_values() {
    let mut restorable = Restorable::start().await;
    let proxy = Proxy::to(&restorable.server.url()).await;
    let mesh = restorable.server.connect().await;
    let watcher = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut changes = within(watcher.kv().watch(">")).await.unwrap();
    assert_eq!(next(&mut changes).await, pair("kept", "old"));
    mesh.kv().put("lost", "x").await.unwrap();
    assert_eq!(next(&mut changes).await, pair("lost", "x"));
    mesh.shutdown().await.unwrap();

    proxy.close();
    restorable.restore().await;
    let mesh = restorable.server.connect().await;
    put_until_accepted(&mesh.kv(), "after", "1").await;
    put_until_accepted(&mesh.kv(), "after.that", "2").await;
    proxy.open();
    assert_eq!(next(&mut changes).await, pair("kept", "old"));
    assert_eq!(next(&mut changes).await, pair("after", "1"));
    assert_eq!(next(&mut changes).await, pair("after.that", "2"));
}

/// The restored bucket has more messages than the watch has seen, and those with the sequences of the lost ones are
/// overwritten when the watch is back.
#[tokio::test]
async fn watch_of_restored_bucket_whose_lost_sequences_were_overwritten_continues_with_its_values()
{
    let mut restorable = Restorable::start().await;
    let proxy = Proxy::to(&restorable.server.url()).await;
    let mesh = restorable.server.connect().await;
    let watcher = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut all = within(watcher.kv().watch(">")).await.unwrap();
    let mut updates = within(watcher.kv().watch(">").updates_only())
        .await
        .unwrap();
    assert_eq!(next(&mut all).await, pair("kept", "old"));
    for (key, value) in [("kept", "new"), ("lost", "x")] {
        mesh.kv().put(key, value).await.unwrap();
        assert_eq!(next(&mut all).await, pair(key, value));
        assert_eq!(next(&mut updates).await, pair(key, value));
    }
    mesh.shutdown().await.unwrap();

    proxy.close();
    restorable.restore().await;
    let mesh = restorable.server.connect().await;
    for value in ["1", "2"] {
        put_until_accepted(&mesh.kv(), "after", value).await;
        put_until_accepted(&mesh.kv(), "after.that", value).await;
    }
    proxy.open();
    for changes in [&mut all, &mut updates] {
        assert_eq!(next(changes).await, pair("kept", "old"));
        assert_eq!(next(changes).await, pair("after", "2"));
        assert_eq!(next(changes).await, pair("after.that", "2"));
    }
}

/// A watch that has delivered nothing notices, too.
#[tokio::test]
async fn quiet_watch_of_restored_bucket_that_was_written_since_continues_with_its_values() {
    let mut restorable = Restorable::start().await;
    let mesh = restorable.server.connect().await;
    mesh.kv().put("lost", "x").await.unwrap();
    mesh.shutdown().await.unwrap();
    let proxy = Proxy::to(&restorable.server.url()).await;
    let watcher = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut updates = within(watcher.kv().watch(">").updates_only())
        .await
        .unwrap();

    proxy.close();
    restorable.restore().await;
    let mesh = restorable.server.connect().await;
    put_until_accepted(&mesh.kv(), "after", "1").await;
    put_until_accepted(&mesh.kv(), "after.that", "2").await;
    proxy.open();
    assert_eq!(next(&mut updates).await, pair("kept", "old"));
    assert_eq!(next(&mut updates).await, pair("after", "1"));
    assert_eq!(next(&mut updates).await, pair("after.that", "2"));
}

/// Overwritten messages alone do not look like a restored bucket.
#[tokio::test]
async fn watch_across_a_reconnect_with_overwritten_keys_yields_only_the_changes() {
    let restorable = Restorable::start().await;
    let proxy = Proxy::to(&restorable.server.url()).await;
    let mesh = restorable.server.connect().await;
    let watcher = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut changes = within(watcher.kv().watch(">")).await.unwrap();
    assert_eq!(next(&mut changes).await, pair("kept", "old"));
    mesh.kv().put("key", "1").await.unwrap();
    assert_eq!(next(&mut changes).await, pair("key", "1"));
    proxy.close();
    mesh.kv().put("key", "2").await.unwrap();
    mesh.kv().put("key", "3").await.unwrap();
    proxy.open();
    assert_eq!(next(&mut changes).await, pair("key", "3"));
    mesh.kv().put("end", "4").await.unwrap();
    assert_eq!(next(&mut changes).await, pair("end", "4"));
}

async fn plain_client(url: &str) -> async_nats::Client {
    eventually(|| async { async_nats::connect(url).await.ok() }).await
}

async fn store_catalog(jetstream: &jetstream::Context, agents: &[&str]) {
    let entry = |name: &&str| json!({"name": name, "description": "Is stored.", "version": "1"});
    let catalog: Vec<_> = agents.iter().map(entry).collect();
    let catalog = serde_json::to_vec(&catalog).unwrap();
    let stored = jetstream.publish("$KV.mesh-catalog.catalog", catalog.into());
    stored.await.unwrap().await.unwrap();
}

async fn lists(mesh: &AgentMesh, names: &[&str]) {
    eventually(|| async {
        let entries = mesh.catalog().await.ok()?;
        (entries.iter().map(|entry| &entry.name).eq(names)).then_some(())
    })
    .await;
}

/// The restored bucket has no free consumer when the cache is back.
#[tokio::test]
async fn catalog_of_restored_bucket_without_a_free_consumer_is_restored_later() {
    let mut restorable = Restorable::with_stored(async |jetstream| {
        let config = jetstream::stream::Config {
            name: "KV_mesh-catalog".to_owned(),
            subjects: vec!["$KV.mesh-catalog.>".into()],
            max_messages_per_subject: 1,
            max_consumers: 1,
            allow_rollup: true,
            ..Default::default()
        };
        let stream = jetstream.create_stream(config).await.unwrap();
        let only = jetstream::consumer::pull::Config {
            durable_name: Some("only".to_owned()),
            ..Default::default()
        };
        stream.create_consumer(only).await.unwrap();
        store_catalog(&jetstream, &["old"]).await;
    })
    .await;
    let url = restorable.server.url();
    let jetstream = jetstream::new(plain_client(&url).await);
    let stream = jetstream.get_stream("KV_mesh-catalog").await.unwrap();
    stream.delete_consumer("only").await.unwrap();
    let proxy = Proxy::to(&url).await;
    let mesh = AgentMesh::connect(&proxy.url).await.unwrap();
    lists(&mesh, &["old"]).await;
    store_catalog(&jetstream, &["lost"]).await;
    store_catalog(&jetstream, &["lost", "new"]).await;
    lists(&mesh, &["lost", "new"]).await;

    proxy.close();
    restorable.restore().await;
    let raw = plain_client(&url).await;
    let mut created = subscribed(&raw, "$JS.API.CONSUMER.CREATE.KV_mesh-catalog").await;
    proxy.open();
    // The second attempt shows that the first one has failed.
    for _ in 0..2 {
        within(created.next()).await.unwrap();
    }
    let stream = jetstream::new(raw).get_stream("KV_mesh-catalog").await;
    stream.unwrap().delete_consumer("only").await.unwrap();
    lists(&mesh, &["old"]).await;
}
