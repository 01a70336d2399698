//! One key-value store: each SDK reads, changes, deletes and watches the values of the other.

use futures::future::try_join_all;
use interop::{Peer, Sdk};
use openagentmesh::{ErrorCode, Json, KvChange, KvChanges};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::{TestMesh, python_process, raised, take, within};

interop::with_each_sdk!(
    text_of_python_is_text_in_rust,
    text_json_and_bytes_of_rust_are_equal_in_python,
    non_text_bytes_are_shared,
    deleted_key_is_not_found_by_the_other,
    stale_write_is_refused,
    no_increment_is_lost_between_the_two,
    rust_watch_receives_the_changes_of_python,
    python_watch_receives_the_changes_of_rust,
    keys_and_values_of_both_are_listed_together,
    bucket_created_by_python_is_shared,
    bucket_created_by_rust_is_shared,
);

/// Text with several alphabets and encoded lengths.
const TEXT: &str = "Grüße, 世界 🦀\n\"zitiert\"\t\\";

async fn put(peer: &mut Peer, key: &str, text: &str) {
    let put = peer.ask("kv_put", json!({"key": key, "text": text}));
    put.await.unwrap();
}

async fn get(peer: &mut Peer, key: &str) -> Value {
    peer.ask("kv_get", json!({"key": key})).await.unwrap()
}

async fn delete(peer: &mut Peer, key: &str) {
    peer.ask("kv_delete", json!({"key": key})).await.unwrap();
}

async fn text_of_python_is_text_in_rust(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();
    for (key, text) in [
        ("greeting", TEXT),
        ("paths/of=all_kinds-1.Z", "x"),
        ("empty", ""),
        ("number", "17"),
    ] {
        put(&mut python, key, text).await;
        let entry = kv.get(key).await.unwrap().unwrap();
        assert_eq!(entry.text().unwrap(), text);
        assert_eq!(entry.key, key);
    }
    let number = kv.get("number").await.unwrap().unwrap();
    assert_eq!(number.json::<u32>().unwrap(), 17);

    put(&mut python, "greeting", "changed").await;
    let changed = kv.get("greeting").await.unwrap().unwrap();
    assert_eq!(changed.text().unwrap(), "changed");
    assert!(changed.revision > number.revision);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Limits {
    retries: u32,
    names: Vec<String>,
}

async fn text_json_and_bytes_of_rust_are_equal_in_python(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();

    kv.put("text", TEXT).await.unwrap();
    assert_eq!(get(&mut python, "text").await, TEXT);
    kv.put("bytes", TEXT.as_bytes().to_vec()).await.unwrap();
    assert_eq!(get(&mut python, "bytes").await, TEXT);

    let limits = Limits {
        retries: 3,
        names: vec!["grün".to_owned()],
    };
    kv.put("limits", Json(&limits)).await.unwrap();
    let text = get(&mut python, "limits").await;
    let read: Limits = serde_json::from_str(text.as_str().unwrap()).unwrap();
    assert_eq!(read, limits);

    // The other direction, with the spacing of Python.
    put(&mut python, "limits", r#"{"names": [], "retries": 4}"#).await;
    let read: Limits = kv.get("limits").await.unwrap().unwrap().json().unwrap();
    assert_eq!(read.retries, 4);
}

async fn non_text_bytes_are_shared(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();

    kv.put("rust", vec![0x00, 0xff, 0x80]).await.unwrap();
    let stored = python.ask("kv_get_bytes", json!({"key": "rust"}));
    assert_eq!(stored.await.unwrap(), "00ff80");

    let stored = python.ask("kv_put_bytes", json!({"key": "python", "hex": "c328fe"}));
    stored.await.unwrap();
    let entry = kv.get("python").await.unwrap().unwrap();
    assert_eq!(entry.value, [0xc3, 0x28, 0xfe].as_slice());
    let error = entry.text().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
}

async fn deleted_key_is_not_found_by_the_other(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();
    let keys = ["own", "deleted", "purged", "theirs"];
    for key in keys {
        put(&mut python, key, "x").await;
    }
    assert_eq!(kv.keys(">").await.unwrap().len(), keys.len());

    delete(&mut python, "own").await;
    kv.delete("deleted").await.unwrap();
    kv.purge("purged").await.unwrap();
    let own = raised(python.ask("kv_get", json!({"key": "own"})).await);
    assert_eq!(own.class, "KeyNotFoundError");
    for key in ["deleted", "purged"] {
        let error = raised(python.ask("kv_get", json!({"key": key})).await);
        assert_eq!(error.class, own.class, "{key}");
    }
    assert_eq!(
        python.ask("kv_keys", json!({})).await.unwrap(),
        json!(["theirs"])
    );

    delete(&mut python, "theirs").await;
    for key in keys {
        assert_eq!(kv.get(key).await.unwrap(), None, "{key}");
    }
    assert!(kv.keys(">").await.unwrap().is_empty());
    assert!(kv.list("*").await.unwrap().is_empty());

    // A deleted key is free for the other SDK.
    kv.create("theirs", "again").await.unwrap();
    assert_eq!(get(&mut python, "theirs").await, "again");
    put(&mut python, "purged", "again").await;
    let again = kv.get("purged").await.unwrap().unwrap();
    assert_eq!(again.text().unwrap(), "again");
}

async fn stale_write_is_refused(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();

    put(&mut python, "leader", "python").await;
    let error = kv.create("leader", "rust").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::KvKeyExists);
    let entry = kv.get("leader").await.unwrap().unwrap();
    assert_eq!(entry.text().unwrap(), "python");

    put(&mut python, "leader", "python again").await;
    let error = kv.update("leader", "rust", entry.revision).await;
    assert_eq!(error.unwrap_err().code(), &ErrorCode::KvWrongRevision);
    let written = kv.try_modify("leader", |entry| {
        assert_eq!(entry.unwrap().text()?, "python again");
        Ok("rust")
    });
    assert!(written.await.unwrap().is_some());
    assert_eq!(get(&mut python, "leader").await, "rust");
}

async fn no_increment_is_lost_between_the_two(sdk: Sdk) {
    const RUST_TASKS: u32 = 2;
    const EACH: u32 = 50;
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let mut other_python = test.python_peer(sdk).await;
    put(&mut python, "counter", "0").await;

    let rust = try_join_all((0..RUST_TASKS).map(|_| {
        let mesh = test.rust_peer();
        async move {
            let kv = mesh.await.kv();
            for _ in 0..EACH {
                kv.modify("counter", |entry| {
                    let count: u32 = entry.unwrap().json()?;
                    Ok(Json(count + 1))
                })
                .await?;
            }
            openagentmesh::Result::<()>::Ok(())
        }
    }));
    let arguments = json!({"key": "counter", "times": EACH});
    let (rust, one, other) = tokio::join!(
        within(rust),
        python.ask("kv_count", arguments.clone()),
        other_python.ask("kv_count", arguments),
    );
    rust.unwrap();
    one.unwrap();
    other.unwrap();
    let count = get(&mut python, "counter").await;
    assert_eq!(count, ((RUST_TASKS + 2) * EACH).to_string());
}

async fn change(changes: &mut KvChanges) -> KvChange {
    within(changes.next()).await.unwrap().unwrap()
}

fn is_put(change: &KvChange, key: &str, text: &str) -> bool {
    matches!(change, KvChange::Put(entry) if entry.key == key && entry.text().unwrap() == text)
}

async fn rust_watch_receives_the_changes_of_python(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();
    put(&mut python, "prices.tea", "3").await;

    let mut prices = kv.watch("prices.*").await.unwrap();
    let mut news = kv.watch("prices.>").updates_only().await.unwrap();
    let first = change(&mut prices).await;
    assert!(is_put(&first, "prices.tea", "3"), "{first:?}");

    // The test awaits each change: the bucket keeps one message per key, so a watch may miss an
    // overwritten value.
    put(&mut python, "others.tea", "0").await;
    put(&mut python, "prices.tea.green", "4").await;
    put(&mut python, "prices.coffee", TEXT).await;
    let added = change(&mut prices).await;
    assert!(is_put(&added, "prices.coffee", TEXT), "{added:?}");
    delete(&mut python, "prices.tea").await;
    let gone = change(&mut prices).await;
    assert!(
        matches!(&gone, KvChange::Deleted { key, .. } if key == "prices.tea"),
        "{gone:?}"
    );
    put(&mut python, "prices.tea", "5").await;
    let back = change(&mut prices).await;
    assert!(is_put(&back, "prices.tea", "5"), "{back:?}");

    let first = change(&mut news).await;
    assert!(is_put(&first, "prices.tea.green", "4"), "{first:?}");
}

async fn python_watch_receives_the_changes_of_rust(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();
    kv.put("plan", "first").await.unwrap();
    let arguments = json!({"key": "watch", "of": "plan"});
    python.ask("open_values", arguments).await.unwrap();
    let mut expect = async |value: &str| {
        assert_eq!(take(&mut python, "watch", Some(1)).await.items, [value]);
    };
    expect("first").await;

    kv.put("plan", TEXT).await.unwrap();
    expect(TEXT).await;
    kv.modify("plan", |_| Ok("modified")).await.unwrap();
    expect("modified").await;
    kv.put("another", "x").await.unwrap();
    // A watch of Python delivers a deletion as an empty text.
    kv.delete("plan").await.unwrap();
    expect("").await;
    kv.create("plan", "created").await.unwrap();
    expect("created").await;
}

async fn keys_and_values_of_both_are_listed_together(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let kv = test.mesh.kv();
    put(&mut python, "a.python", "1").await;
    kv.put("a.rust", "2").await.unwrap();
    put(&mut python, "b/python", "3").await;
    kv.put("a.rust.deep", Json(4)).await.unwrap();
    kv.put("gone", "x").await.unwrap();
    delete(&mut python, "gone").await;

    let all = ["a.python", "a.rust", "a.rust.deep", "b/python"];
    assert_eq!(kv.keys(">").await.unwrap(), all);
    assert_eq!(python.ask("kv_keys", json!({})).await.unwrap(), json!(all));
    assert_eq!(kv.keys("a.*").await.unwrap(), ["a.python", "a.rust"]);
    let entries = kv.list(">").await.unwrap();
    let values = entries.iter().map(|entry| entry.text().unwrap());
    assert_eq!(values.collect::<Vec<_>>(), ["1", "2", "4", "3"]);
}

async fn bucket_created_by_python_is_shared(sdk: Sdk) {
    let test = TestMesh::start().await;
    // Python creates all buckets of the mesh when it connects.
    let mut python = test.python_peer(sdk).await;
    test.mesh.kv().put("who", "rust").await.unwrap();
    assert_eq!(get(&mut python, "who").await, "rust");
    put(&mut python, "who", "python").await;
    let who = test.mesh.kv().get("who").await.unwrap().unwrap();
    assert_eq!(who.text().unwrap(), "python");
}

async fn bucket_created_by_rust_is_shared(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = python_process(sdk).await;
    test.mesh.kv().put("who", "rust").await.unwrap();
    let streams = async || {
        let jetstream = async_nats::jetstream::new(test.nats().await);
        let mut stream = jetstream.get_stream("KV_mesh-context").await.unwrap();
        stream.info().await.unwrap().created
    };
    let made = streams().await;

    let url = json!({"url": test.server.url()});
    python.ask("connect", url).await.unwrap();
    assert_eq!(get(&mut python, "who").await, "rust");
    put(&mut python, "who", "python").await;
    let who = test.mesh.kv().get("who").await.unwrap().unwrap();
    assert_eq!(who.text().unwrap(), "python");
    assert_eq!(streams().await, made, "the bucket is unchanged");
}
