//! Stored messages that end the connection of a client that receives them: each costs a reader one reconnection.

mod repeated;

use std::time::Duration;

use crate::support::poison::{self, BARE_CR, Poison, RECONNECTING};
use crate::support::{Proxy, TestMesh, echo, eventually, within};
use async_nats::jetstream;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use openagentmesh::{
    AgentMesh, AgentSpec, CatalogChange, ErrorCode, KvChange, KvChanges, ObjectChange,
};
use serde_json::json;

const SHORT: Duration = Duration::from_millis(500);

/// A mesh, and a proxy that counts the connections of one reader at a time.
struct Poisoned {
    test: TestMesh,
    proxy: Proxy,
    poison: Poison,
}

/// A reader with its connection of its own.
struct Reader<'p> {
    mesh: AgentMesh,
    proxy: &'p Proxy,
    before: usize,
}

impl Poisoned {
    async fn start(poison: Poison) -> Self {
        let test = TestMesh::start().await;
        let proxy = Proxy::start(&test).await;
        Self {
            test,
            proxy,
            poison,
        }
    }

    async fn store(&self, subject: &str, body: &[u8]) {
        let url = self.test.server.url();
        poison::publish(url, subject, self.poison.headers, body).await;
    }

    async fn store_key(&self, key: &str, body: &str) {
        let subject = format!("$KV.mesh-context.{key}");
        self.store(&subject, body.as_bytes()).await;
    }

    async fn reader(&self) -> Reader<'_> {
        let mesh = AgentMesh::connect(&self.proxy.url).await.unwrap();
        Reader {
            mesh,
            proxy: &self.proxy,
            before: self.proxy.accepted(),
        }
    }

    /// Those of `keys` that are values: a malformed message is none.
    fn values<'k>(&self, keys: &[&'k str], poisoned: &[&str]) -> Vec<&'k str> {
        let is_value = |key: &&&str| !self.poison.is_malformed || !poisoned.contains(*key);
        keys.iter().filter(is_value).copied().collect()
    }
}

impl Reader<'_> {
    /// Ends the reader, which has reconnected at most `limit` times.
    async fn has_reconnected(self, limit: usize, place: &str) {
        let count = self.proxy.accepted() - self.before;
        assert!(count <= limit, "{place}: {count} reconnections");
        within(self.mesh.shutdown()).await.unwrap();
    }
}

/// The key of the next value.
async fn next_key(changes: &mut KvChanges) -> String {
    match within(changes.next()).await.unwrap().unwrap() {
        KvChange::Put(entry) => entry.key,
        other => panic!("{other:?}"),
    }
}

async fn expect_keys(changes: &mut KvChanges, keys: &[&str]) {
    for key in keys {
        assert_eq!(next_key(changes).await, *key);
    }
}

/// The state of keys "a" and "z" with two poisonous ones between and after them, for each kind of reader.
async fn keys_are_read(poison: Poison) {
    let name = poison.name;
    let poisoned = Poisoned::start(poison).await;
    let kv = poisoned.test.mesh.kv();
    kv.put("a", "1").await.unwrap();
    poisoned.store_key("p1", "odd").await;
    kv.put("z", "2").await.unwrap();
    poisoned.store_key("p2", "odd").await;
    let keys = poisoned.values(&["a", "p1", "z", "p2"], &["p1", "p2"]);
    let mut sorted = keys.clone();
    sorted.sort_unstable();

    let reader = poisoned.reader().await;
    for key in ["p1", "p2"] {
        match within(reader.mesh.kv().get(key)).await {
            Ok(entry) => assert_eq!(entry.unwrap().text().unwrap(), "odd", "{name}"),
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::StorageError, "{name}: {error}");
                assert!(poison.is_malformed, "{name}: {error}");
            }
        }
    }
    let created = within(reader.mesh.kv().create("p1", "x")).await;
    let code = created.unwrap_err().code().clone();
    let expected = if poison.is_malformed {
        ErrorCode::StorageError
    } else {
        ErrorCode::KvKeyExists
    };
    assert_eq!(code, expected, "{name}");
    reader.has_reconnected(0, name).await;

    let reader = poisoned.reader().await;
    let listed = within(reader.mesh.kv().list(">")).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(listed, sorted, "{name}");
    reader.has_reconnected(2, name).await;

    let reader = poisoned.reader().await;
    let listed = within(reader.mesh.kv().keys(">")).await.unwrap();
    assert_eq!(listed, sorted, "{name}");
    reader.has_reconnected(2, name).await;

    let reader = poisoned.reader().await;
    let mut watch = within(reader.mesh.kv().watch(">")).await.unwrap();
    expect_keys(&mut watch, &keys).await;
    kv.put("later", "3").await.unwrap();
    expect_keys(&mut watch, &["later"]).await;
    poisoned.store_key("p3", "odd").await;
    kv.delete("later").await.unwrap();
    kv.put("last", "4").await.unwrap();
    expect_keys(&mut watch, &poisoned.values(&["p3"], &["p3"])).await;
    let deleted = within(watch.next()).await.unwrap().unwrap();
    assert!(
        matches!(&deleted, KvChange::Deleted { key, .. } if key == "later"),
        "{deleted:?}"
    );
    expect_keys(&mut watch, &["last"]).await;
    reader.has_reconnected(3, name).await;

    let reader = poisoned.reader().await;
    let updates = reader.mesh.kv().watch(">").updates_only();
    let mut updates = within(updates).await.unwrap();
    poisoned.store_key("p4", "odd").await;
    kv.put("p4", "replaced").await.unwrap();
    // The poisonous message may be replaced before the reader has reconnected.
    eventually(|| async {
        (within(reader.mesh.kv().get("p4"))
            .await
            .ok()??
            .text()
            .ok()?
            == "replaced")
            .then_some(())
    })
    .await;
    kv.put("end", "5").await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|key| key != "end") {
        seen.push(next_key(&mut updates).await);
    }
    assert!(
        seen.len() <= 3 && seen.contains(&"p4".to_owned()),
        "{name}: {seen:?}"
    );
    reader.has_reconnected(1, name).await;
}

/// Files with poisonous metadata, and with poisonous chunks.
async fn files_are_read(poison: Poison) {
    let name = poison.name;
    let poisoned = Poisoned::start(poison).await;
    let files = poisoned.test.mesh.workspace();
    files.put("a", "1").await.unwrap();
    let meta = |name: &str, nuid: &str, chunks: &[&[u8]]| {
        let all = chunks.concat();
        json!({
            "name": name, "bucket": "mesh-artifacts", "nuid": nuid, "size": all.len(), "chunks": chunks.len(),
            "digest": "", "deleted": false, "mtime": "2026-01-01T00:00:00Z",
        })
        .to_string()
    };
    let meta_subject = |name: &str| format!("$O.mesh-artifacts.M.{}", URL_SAFE.encode(name));
    let odd = meta("odd", "odd", &[]);
    poisoned.store(&meta_subject("odd"), odd.as_bytes()).await;
    files.put("z", "2").await.unwrap();
    let names = poisoned.values(&["a", "odd", "z"], &["odd"]);

    let reader = poisoned.reader().await;
    let listed = within(reader.mesh.workspace().list("")).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(listed, names, "{name}");
    reader.has_reconnected(1, name).await;

    let reader = poisoned.reader().await;
    let mut watch = within(reader.mesh.workspace().watch("")).await.unwrap();
    for expected in &names {
        let change = within(watch.next()).await.unwrap().unwrap();
        assert_eq!(change.name(), *expected, "{name}");
    }
    poisoned.store(&meta_subject("odd2"), b"{}").await;
    files.put("later", "3").await.unwrap();
    let later = async {
        loop {
            match watch.next().await.unwrap().unwrap() {
                ObjectChange::Put(file) if file.name == "later" => return,
                _ => {}
            }
        }
    };
    within(later).await;
    reader.has_reconnected(2, name).await;

    let reader = poisoned.reader().await;
    let info = within(reader.mesh.workspace().info("odd")).await;
    assert_eq!(info.is_err(), poison.is_malformed, "{name}: {info:?}");
    assert!(within(reader.mesh.workspace().delete("odd")).await.unwrap());
    let info = within(reader.mesh.workspace().info("odd")).await;
    assert_eq!(info.unwrap(), None, "{name}");
    reader.has_reconnected(0, name).await;

    // Chunks of one file: the second and third of five are poisonous.
    let chunks: [&[u8]; 5] = [b"one ", b"two ", b"three ", b"four ", b"five"];
    let plain = b"NATS/1.0\r\nX: y\r\n\r\n";
    let url = poisoned.test.server.url();
    for (index, chunk) in chunks.iter().enumerate() {
        let subject = "$O.mesh-artifacts.C.chunks";
        if matches!(index, 1 | 2) {
            poisoned.store(subject, chunk).await;
        } else {
            poison::publish(url, subject, plain, chunk).await;
        }
    }
    let subject = meta_subject("chunks");
    let document = meta("chunks", "chunks", &chunks);
    poison::publish(url, &subject, plain, document.as_bytes()).await;
    poisoned.store("$O.mesh-artifacts.C.single", b"all").await;
    let subject = meta_subject("single");
    let document = meta("single", "single", &[b"all"]);
    poison::publish(url, &subject, plain, document.as_bytes()).await;

    let reader = poisoned.reader().await;
    let read = within(reader.mesh.workspace().get("chunks")).await.unwrap();
    assert_eq!(&read[..], chunks.concat(), "{name}");
    let read = within(reader.mesh.workspace().get("single")).await.unwrap();
    assert_eq!(&read[..], b"all", "{name}");
    reader.has_reconnected(2, name).await;
}

/// A poisonous catalog, and a poisonous contract.
async fn catalog_is_read(poison: Poison) {
    let name = poison.name;
    let poisoned = Poisoned::start(poison).await;
    let host = &poisoned.test.mesh;
    host.register(echo()).await.unwrap();
    let stored = async |bucket: &str, key: &str| {
        let jetstream = jetstream::new(poisoned.test.raw().await);
        let store = jetstream.get_key_value(bucket).await.unwrap();
        store.get(key).await.unwrap().unwrap()
    };
    let catalog = stored("mesh-catalog", "catalog").await;
    let contract = stored("mesh-registry", "echo").await;

    let reader = poisoned.reader().await;
    let mut changes = reader.mesh.catalog().watch();
    let added = within(changes.next()).await.unwrap();
    assert!(
        matches!(added, CatalogChange::Added(entry) if entry.name == "echo"),
        "{name}"
    );
    poisoned.store("$KV.mesh-catalog.catalog", &catalog).await;
    poisoned.store("$KV.mesh-registry.echo", &contract).await;

    let newcomer = poisoned.test.peer().await;
    for mesh in [&newcomer, &reader.mesh, host] {
        // A call that is in flight when a connection is lost gets no reply.
        let call = || {
            mesh.call::<String>("echo", "x")
                .timeout(SHORT)
                .into_future()
        };
        let reply = eventually(|| async { call().await.ok() }).await;
        assert_eq!(reply, "Echo: x", "{name}");
    }
    match within(newcomer.contract("echo")).await {
        Ok(contract) => assert_eq!(contract.name.as_str(), "echo", "{name}"),
        Err(error) => {
            assert!(poison.is_malformed, "{name}: {error}");
            assert_eq!(error.code(), &ErrorCode::StorageError, "{name}: {error}");
        }
    }
    // The host repairs a malformed contract.
    eventually(|| async { newcomer.tools().await.ok()?.contract("echo").map(drop) }).await;

    if poison.is_malformed {
        let jetstream = jetstream::new(poisoned.test.raw().await);
        let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
        store.put("catalog", catalog.clone()).await.unwrap();
    }
    let other = AgentSpec::new("other", "Another one.").handler(|| async { 1 });
    eventually(|| async { newcomer.register(other.clone()).await.ok() }).await;
    let added = within(changes.next()).await.unwrap();
    assert!(
        matches!(added, CatalogChange::Added(entry) if entry.name == "other"),
        "{name}"
    );
    reader.has_reconnected(1, name).await;
}

/// A bucket of an operator's own, which allows direct gets and has a history.
async fn direct_gets_are_repeated(poison: Poison) {
    let name = poison.name;
    let test = TestMesh::start().await;
    test.mesh.kv().put("a", "").await.unwrap();
    let jetstream = jetstream::new(test.raw().await);
    let mut config = jetstream
        .get_stream("KV_mesh-context")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    config.allow_direct = true;
    config.max_messages_per_subject = 5;
    jetstream.update_stream(config).await.unwrap();
    let proxy = Proxy::start(&test).await;
    let poisoned = Poisoned {
        test,
        proxy,
        poison,
    };
    let kv = poisoned.test.mesh.kv();
    for number in 0..4 {
        kv.put("a", number.to_string()).await.unwrap();
        poisoned.store_key("p", &number.to_string()).await;
        kv.put("z", number.to_string()).await.unwrap();
    }

    let reader = poisoned.reader().await;
    for _ in 0..3 {
        match within(reader.mesh.kv().get("p")).await {
            Ok(entry) => assert_eq!(entry.unwrap().text().unwrap(), "3", "{name}"),
            Err(error) => assert!(poison.is_malformed, "{name}: {error}"),
        }
        let entry = within(reader.mesh.kv().get("a")).await.unwrap().unwrap();
        assert_eq!(entry.text().unwrap(), "3", "{name}");
    }
    reader.has_reconnected(1, name).await;

    let reader = poisoned.reader().await;
    let listed = within(reader.mesh.kv().list(">")).await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|entry| (entry.key.as_str(), entry.text().unwrap()))
        .collect();
    let expected = [("a", "3"), ("p", "3"), ("z", "3")];
    let expected = expected
        .into_iter()
        .filter(|(key, _)| !poison.is_malformed || *key != "p");
    assert_eq!(listed, expected.collect::<Vec<_>>(), "{name}");
    reader.has_reconnected(1, name).await;
}

#[tokio::test]
async fn poisonous_keys_cost_each_reader_one_reconnection() {
    for poison in RECONNECTING {
        Box::pin(keys_are_read(poison)).await;
    }
}

#[tokio::test]
async fn poisonous_files_cost_each_reader_one_reconnection() {
    for poison in RECONNECTING {
        Box::pin(files_are_read(poison)).await;
    }
}

#[tokio::test]
async fn poisonous_catalog_costs_each_reader_one_reconnection() {
    for poison in RECONNECTING {
        Box::pin(catalog_is_read(poison)).await;
    }
}

#[tokio::test]
async fn poisonous_key_in_a_bucket_with_direct_gets_costs_one_reconnection() {
    for poison in RECONNECTING {
        Box::pin(direct_gets_are_repeated(poison)).await;
    }
}

#[tokio::test]
async fn keys_with_a_bare_cr_cost_each_reader_one_reconnection() {
    Box::pin(keys_are_read(BARE_CR)).await;
}

#[tokio::test]
async fn files_with_a_bare_cr_cost_each_reader_one_reconnection() {
    Box::pin(files_are_read(BARE_CR)).await;
}

#[tokio::test]
async fn catalog_with_a_bare_cr_costs_each_reader_one_reconnection() {
    Box::pin(catalog_is_read(BARE_CR)).await;
}

#[tokio::test]
async fn key_with_a_bare_cr_in_a_bucket_with_direct_gets_costs_one_reconnection() {
    Box::pin(direct_gets_are_repeated(BARE_CR)).await;
}

/// A status is no part of a stored value, though the client reads the same status in a heartbeat.
#[tokio::test]
async fn stored_message_with_the_status_of_a_heartbeat_is_a_value() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    kv.put("first", "w").await.unwrap();
    let subject = "$KV.mesh-context.beat";
    let headers = b"NATS/1.0 100 Idle Heartbeat\r\n\r\n";
    poison::publish(test.server.url(), subject, headers, b"x").await;
    kv.put("next", "y").await.unwrap();
    let listed = within(kv.list(">")).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(listed, ["beat", "first", "next"]);
    let mut watch = within(kv.watch(">")).await.unwrap();
    expect_keys(&mut watch, &["first", "beat", "next"]).await;
}
