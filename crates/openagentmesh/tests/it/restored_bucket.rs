//! A server that is restored from a backup: its buckets go back to an earlier state.

use std::path::{Path, PathBuf};

use crate::support::{PlainServer, Proxy, eventually, within};
use openagentmesh::{AgentMesh, Kv, KvChange, KvChanges};

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
        let directory = tempfile::tempdir().unwrap();
        let storage = directory.path().join("storage");
        let backup = directory.path().join("backup");
        let mut server = PlainServer::start(Some(&storage)).await;
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
