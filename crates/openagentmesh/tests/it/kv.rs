//! Shared values: each method, each conflict, each invalid input.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{TestMesh, eventually, within};
use futures::{StreamExt, stream};
use openagentmesh::{AgentSpec, ErrorCode, Json, Kv, KvChange, KvEntry};
use serde::{Deserialize, Serialize};
use tokio::sync::Barrier;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Limits {
    retries: u32,
}

#[tokio::test]
async fn text_bytes_and_json_values_are_read_back() {
    let test = TestMesh::start().await;
    let (writer, reader) = (test.mesh.kv(), test.peer().await.kv());
    assert_eq!(reader.get("limits").await.unwrap(), None);

    let before = time::OffsetDateTime::now_utc();
    let first = writer
        .put("limits", Json(Limits { retries: 3 }))
        .await
        .unwrap();
    let entry = reader.get("limits").await.unwrap().unwrap();
    assert_eq!(entry.json::<Limits>().unwrap(), Limits { retries: 3 });
    assert_eq!((entry.key.as_str(), entry.revision), ("limits", first));
    let after = time::OffsetDateTime::now_utc();
    assert!((before..=after).contains(&entry.created), "{entry:?}");

    let second = writer.put("limits", "grüezi").await.unwrap();
    assert!(second > first);
    let entry = reader.get("limits").await.unwrap().unwrap();
    assert_eq!(entry.text().unwrap(), "grüezi");
    assert_eq!(
        entry.json::<String>().unwrap_err().code(),
        &ErrorCode::InvalidInput
    );

    writer.put("limits", vec![0xFF, 0x00]).await.unwrap();
    let entry = reader.get("limits").await.unwrap().unwrap();
    assert_eq!(&entry.value[..], [0xFF, 0x00]);
    assert_eq!(entry.text().unwrap_err().code(), &ErrorCode::InvalidInput);

    writer.put("empty", "").await.unwrap();
    assert!(reader.get("empty").await.unwrap().unwrap().value.is_empty());
}

#[tokio::test]
async fn history_has_the_kept_writes_of_one_key() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    assert_eq!(kv.history("plan").await.unwrap(), []);
    kv.put("plan", "one").await.unwrap();
    let two = kv.put("plan", "two").await.unwrap();
    kv.put("plan.b", "other").await.unwrap();
    let kept = kv.history("plan").await.unwrap();
    let [write] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert_eq!((write.key.as_str(), write.revision), ("plan", two));
    assert_eq!(write.value.as_deref(), Some(&b"two"[..]));
    kv.delete("plan").await.unwrap();
    let kept = kv.history("plan").await.unwrap();
    assert_eq!((kept.len(), kept[0].value.clone()), (1, None));
    let error = kv.history("*").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
}

#[tokio::test]
async fn write_with_a_stale_revision_is_refused() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    let first = kv.create("leader", "a").await.unwrap();
    let error = kv.create("leader", "b").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::KvKeyExists, "{error}");
    assert_eq!(error.details()["key"], "leader");

    let second = kv.update("leader", "b", first).await.unwrap();
    let error = kv.update("leader", "c", first).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::KvWrongRevision, "{error}");
    assert_eq!(error.details()["expected"], first);
    assert_eq!(kv.get("leader").await.unwrap().unwrap().revision, second);
    let error = kv.update("leader", "c", 0).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::KvWrongRevision);
    kv.update("new", "x", 0).await.unwrap();

    kv.delete("leader").await.unwrap();
    assert_eq!(kv.get("leader").await.unwrap(), None);
    kv.create("leader", "again").await.unwrap();
    kv.purge("leader").await.unwrap();
    assert_eq!(kv.get("leader").await.unwrap(), None);
    kv.create("leader", "and again").await.unwrap();
    kv.delete("never.was").await.unwrap();
}

fn names(entries: &[KvEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

#[tokio::test]
async fn keys_and_values_that_match_a_pattern_are_listed() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    assert!(kv.keys(">").await.unwrap().is_empty());
    for key in ["b.two", "a", "b.one", "b.one.deep", "gone"] {
        kv.put(key, key).await.unwrap();
    }
    kv.delete("gone").await.unwrap();
    assert_eq!(
        kv.keys(">").await.unwrap(),
        ["a", "b.one", "b.one.deep", "b.two"]
    );
    assert_eq!(kv.keys("b.*").await.unwrap(), ["b.one", "b.two"]);
    let entries = kv.list("b.>").await.unwrap();
    assert_eq!(names(&entries), ["b.one", "b.one.deep", "b.two"]);
    assert!(
        entries
            .iter()
            .all(|entry| entry.text().unwrap() == entry.key)
    );
    assert_eq!(names(&kv.list("a").await.unwrap()), ["a"]);
    assert!(kv.list("nothing.*").await.unwrap().is_empty());
}

#[tokio::test]
async fn watch_yields_current_values_then_changes() {
    let test = TestMesh::start().await;
    let (kv, other) = (test.mesh.kv(), test.peer().await.kv());
    kv.put("a.old", "1").await.unwrap();
    kv.put("b.old", "1").await.unwrap();
    kv.put("a.gone", "1").await.unwrap();
    kv.delete("a.gone").await.unwrap();
    let mut all = within(other.watch("a.*")).await.unwrap();
    let mut updates = within(other.watch("a.*").updates_only()).await.unwrap();
    let put = |change: KvChange| match change {
        KvChange::Put(entry) => (entry.key.clone(), entry.text().unwrap().to_owned()),
        other => panic!("{other:?}"),
    };
    let old = within(all.next()).await.unwrap().unwrap();
    assert_eq!(put(old), ("a.old".to_owned(), "1".to_owned()));

    kv.put("b.new", "2").await.unwrap();
    kv.put("a.new", "2").await.unwrap();
    let changed = kv.put("a.old", "3").await.unwrap();
    for changes in [&mut all, &mut updates] {
        let mut next = async || within(changes.next()).await.unwrap().unwrap();
        assert_eq!(put(next().await), ("a.new".to_owned(), "2".to_owned()));
        assert_eq!(put(next().await), ("a.old".to_owned(), "3".to_owned()));
    }
    // Deleted only now: the server keeps only the last change of a key.
    kv.delete("a.old").await.unwrap();
    for changes in [&mut all, &mut updates] {
        assert_eq!(
            within(changes.next()).await.unwrap().unwrap(),
            KvChange::Deleted {
                key: "a.old".to_owned(),
                revision: changed + 1
            }
        );
    }
}

/// Increments the counter `times` times.
async fn count(kv: Kv, times: u64) {
    for _ in 0..times {
        let added = kv.modify("count", |entry| {
            let count: u64 = entry.map_or(Ok(0), KvEntry::json)?;
            Ok(Json(count + 1))
        });
        added.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_writers_of_one_key_lose_no_update() {
    const WRITERS: u64 = 50;
    const TIMES: u64 = 5;
    let test = TestMesh::start().await;
    let peers = [test.peer().await, test.peer().await];
    let writers = (0..WRITERS).map(|n| {
        let peer = &peers[usize::from(n % 2 == 0)];
        tokio::spawn(count(peer.kv(), TIMES))
    });
    let all = futures::future::try_join_all(writers);
    tokio::time::timeout(std::time::Duration::from_secs(60), all)
        .await
        .unwrap()
        .unwrap();
    let entry = test.mesh.kv().get("count").await.unwrap().unwrap();
    assert_eq!(entry.json::<u64>().unwrap(), WRITERS * TIMES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn try_modify_after_a_concurrent_write_returns_none() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    assert!(
        kv.try_modify("turn", |_| Ok("mine"))
            .await
            .unwrap()
            .is_some()
    );
    // Both read the same revision, and only one write succeeds.
    let barrier = Arc::new(Barrier::new(2));
    let attempts = ["a", "b"].map(|value| {
        let (kv, barrier) = (kv.clone(), barrier.clone());
        async move {
            let entry = kv.get("turn").await.unwrap().unwrap();
            barrier.wait().await;
            kv.update("turn", value, entry.revision).await.is_ok()
        }
    });
    let won = within(futures::future::join_all(attempts)).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);

    // Another write happens between the read and the write.
    let other = kv.clone();
    let lost = kv.try_modify("turn", |_| {
        tokio::task::block_in_place(|| {
            let put = other.put("turn", "theirs");
            tokio::runtime::Handle::current().block_on(put)
        })?;
        Ok("mine")
    });
    assert_eq!(lost.await.unwrap(), None);
    let entry = kv.get("turn").await.unwrap().unwrap();
    assert_eq!(entry.text().unwrap(), "theirs");
}

#[tokio::test]
async fn modify_that_fails_or_changes_nothing_writes_nothing() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    let revision = kv.put("key", "as it is").await.unwrap();
    let same = kv.modify("key", |entry| Ok(entry.unwrap().text()?.to_owned()));
    assert_eq!(same.await.unwrap(), revision);
    let error = kv
        .modify::<&str>("key", |_| {
            Err(openagentmesh::Error::new(ErrorCode::InvalidInput, "no"))
        })
        .await
        .unwrap_err();
    assert_eq!(error.message(), "no");
    assert_eq!(kv.get("key").await.unwrap().unwrap().revision, revision);
    kv.delete("key").await.unwrap();
    let created = kv.modify("key", |entry| {
        assert_eq!(entry, None, "a deleted key has no entry");
        Ok("new")
    });
    assert!(created.await.unwrap() > revision);
}

#[tokio::test]
async fn invalid_key_pattern_or_oversized_value_is_refused_before_it_is_sent() {
    let test = TestMesh::with_max_payload(4096).await;
    let kv = test.mesh.kv();
    for key in ["", "a b", "a..b", ".a", "a.", "ü", "a*", "*", ">"] {
        for error in [
            kv.get(key).await.unwrap_err(),
            kv.put(key, "x").await.unwrap_err(),
            kv.create(key, "x").await.unwrap_err(),
            kv.update(key, "x", 1).await.unwrap_err(),
            kv.delete(key).await.unwrap_err(),
            kv.purge(key).await.unwrap_err(),
            kv.modify(key, |_| Ok("x")).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), &ErrorCode::InvalidInput, "{key}: {error}");
            assert!(error.message().contains("invalid key '"), "{error}");
        }
    }
    for pattern in ["", "a b", "a.>.b", "a*"] {
        for error in [
            kv.keys(pattern).await.unwrap_err(),
            kv.list(pattern).await.unwrap_err(),
            kv.watch(pattern).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), &ErrorCode::InvalidInput, "{pattern}: {error}");
        }
    }
    let key = "k".repeat(3000);
    let error = kv.put(&key, "x").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput, "{error}");
    let large = "x".repeat(5000);
    for error in [
        kv.put("large", &large).await.unwrap_err(),
        kv.create("large", &large).await.unwrap_err(),
        kv.modify("large", |_| Ok(large.clone())).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), &ErrorCode::PayloadTooLarge, "{error}");
        assert_eq!(error.details()["limit"], 4096);
    }
    kv.put("large", "small after all").await.unwrap();
}

#[tokio::test]
async fn existing_bucket_keeps_its_settings() {
    let test = TestMesh::start().await;
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let config = async_nats::jetstream::kv::Config {
        bucket: "mesh-context".to_owned(),
        history: 5,
        max_value_size: 64,
        ..Default::default()
    };
    let store = jetstream.create_key_value(config).await.unwrap();
    let kv = test.mesh.kv();
    for n in 0..3 {
        kv.put("key", Json(n)).await.unwrap();
    }
    assert_eq!(kv.list(">").await.unwrap().len(), 1);
    assert_eq!(
        kv.get("key").await.unwrap().unwrap().json::<u32>().unwrap(),
        2
    );
    let error = kv.put("key", "x".repeat(500)).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::PayloadTooLarge, "{error}");
    assert_eq!(store.status().await.unwrap().history(), 5);
}

#[tokio::test]
async fn concurrent_requests_get_their_own_replies() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    let puts = (0..300).map(|n| kv.put(format!("key.{n}"), Json(n)));
    let revisions = futures::future::try_join_all(puts).await.unwrap();
    let gets = (0..300).map(|n| kv.get(format!("key.{n}")));
    let entries = futures::future::try_join_all(gets).await.unwrap();
    for (n, (revision, entry)) in revisions.into_iter().zip(entries).enumerate() {
        let entry = entry.unwrap();
        assert_eq!(entry.json::<usize>().unwrap(), n);
        assert_eq!(entry.revision, revision);
    }
}

/// The server replaces an expired value by a delete marker.
#[tokio::test]
async fn expired_value_is_absent() {
    let expires = async |allow_direct: bool| {
        let test = TestMesh::start().await;
        let jetstream = async_nats::jetstream::new(test.raw().await);
        let config = async_nats::jetstream::stream::Config {
            name: "KV_mesh-context".to_owned(),
            subjects: vec!["$KV.mesh-context.>".to_owned()],
            max_messages_per_subject: 1,
            max_age: Duration::from_secs(1),
            duplicate_window: Duration::from_secs(1),
            subject_delete_marker_ttl: Some(Duration::from_secs(3600)),
            allow_message_ttl: true,
            allow_rollup: true,
            allow_direct,
            ..Default::default()
        };
        jetstream.create_stream(config).await.unwrap();
        let kv = test.mesh.kv();
        let revision = kv.put("key", "value").await.unwrap();
        eventually(|| async { kv.get("key").await.unwrap().is_none().then_some(()) }).await;
        // The delete marker has a newer revision.
        let error = kv.update("key", "new", revision).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::KvWrongRevision, "{error}");
        kv.create("key", "new").await.unwrap();
    };
    tokio::join!(expires(false), expires(true));
}

#[tokio::test]
async fn deleted_bucket_is_created_again() {
    let test = TestMesh::start().await;
    let kv = test.mesh.kv();
    kv.put("key", "value").await.unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    for again in ["read", "write", "list", "watch"] {
        jetstream.delete_stream("KV_mesh-context").await.unwrap();
        // The server may reuse the files of the deleted bucket when the new one is created at once. The
        // old value may then be there again.
        match again {
            "read" => drop(kv.get("key").await.unwrap()),
            "write" => drop(kv.put("key", "new").await.unwrap()),
            "list" => drop(kv.list(">").await.unwrap()),
            _ => drop(kv.watch(">").await.unwrap()),
        }
    }
    kv.put("key", "value").await.unwrap();
    eventually(|| async { kv.get("key").await.unwrap() }).await;
}

/// The host may hold chunks back for a moment, to send several at once.
#[tokio::test]
async fn value_written_after_a_chunk_arrives_after_it() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    let kv = host.kv();
    kv.put("opened", "x").await.unwrap();
    let spec = AgentSpec::new("writer", "Writes a value after each chunk.");
    let writer = spec.handler(move |times: u32| {
        let kv = kv.clone();
        stream::unfold(0, move |n| {
            let kv = kv.clone();
            async move {
                if n > 0 {
                    kv.put("written", Json(n)).await.unwrap();
                }
                (n < times).then_some((n, n + 1))
            }
        })
    });
    host.register(writer).await.unwrap();
    let raw = test.raw().await;
    let mut all = raw.subscribe(">").await.unwrap();
    // Once this arrives, the server knows the subscription.
    raw.publish("marker", "".into()).await.unwrap();
    while within(all.next()).await.unwrap().subject.as_str() != "marker" {}
    let chunks = within(test.mesh.stream::<u32>("writer", 20)).await.unwrap();
    let chunks = within(chunks.collect::<Vec<_>>()).await;
    assert_eq!(chunks.len(), 20);
    let mut order = Vec::new();
    while order.len() < 40 {
        let message = within(all.next()).await.unwrap();
        if message.subject.starts_with("mesh.stream.") {
            order.push("chunk");
        } else if message.subject.starts_with("$KV.mesh-context.written") {
            order.push("value");
        }
    }
    assert_eq!(order, ["chunk", "value"].repeat(20));
}
