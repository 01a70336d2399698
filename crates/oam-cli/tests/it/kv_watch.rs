//! `oam kv watch`: current values and changes.

use std::time::Duration;

use openagentmesh::Kv;
use serde_json::{Value, json};

use crate::support::{Running, TestMesh, within_deadline};

/// Puts values under `key` until the watch prints a line, and returns the line: the watch is
/// active.
async fn until_watched(kv: &Kv, watch: &mut Running, key: &str) -> String {
    within_deadline("line of the watch", async {
        loop {
            kv.put(key, "?").await.unwrap();
            if let Some(line) = watch.line_within(Duration::from_millis(50)).await {
                return line;
            }
        }
    })
    .await
}

/// The next line about another key than `key`.
async fn line_of_other_key(watch: &mut Running, key: &str) -> String {
    loop {
        let line = watch.line().await.unwrap();
        if !line.contains(key) {
            return line;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_prints_changes_of_other_processes() {
    let mesh = TestMesh::start([]).await;
    let kv = mesh.client.kv();
    kv.put("limits.gone", "1").await.unwrap();
    kv.delete("limits.gone").await.unwrap();
    kv.put("limits.retries", "3").await.unwrap();
    let mut watch = mesh.start_oam(&["kv", "watch", "limits.*"]);
    assert_eq!(watch.line().await.unwrap(), "limits.retries  3");
    for arguments in [
        &["kv", "put", "limits.retries", "4"][..],
        &["kv", "put", "other", "4"],
        &["kv", "delete", "limits.retries"],
        &["kv", "put", "limits.tries", "two\nlines"],
    ] {
        assert_eq!(mesh.oam(arguments).code, 0);
    }
    assert_eq!(watch.line().await.unwrap(), "limits.retries  4");
    assert_eq!(watch.line().await.unwrap(), "limits.retries  (deleted)");
    assert_eq!(watch.line().await.unwrap(), "limits.tries  two\\nlines");
    watch.signal("-INT");
    let (status, stderr) = watch.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_of_updates_omits_current_values() {
    let mesh = TestMesh::start([]).await;
    let kv = mesh.client.kv();
    kv.put("before", "1").await.unwrap();
    let mut watch = mesh.start_oam(&["kv", "watch", "--updates-only", "--json"]);
    let first = until_watched(&kv, &mut watch, "ready").await;
    assert!(first.contains("ready"), "{first}");
    kv.put("bytes", &[0xff, 0x00][..]).await.unwrap();
    kv.delete("before").await.unwrap();
    let mut change: Value =
        serde_json::from_str(&line_of_other_key(&mut watch, "ready").await).unwrap();
    assert!(change["created"].take().is_string());
    let revision = change["revision"].take().as_u64().unwrap();
    assert_eq!(
        change,
        json!({
            "change": "put", "key": "bytes", "revision": null, "created": null, "value": "/wA=",
            "encoding": "base64"
        })
    );
    let change: Value = serde_json::from_str(&watch.line().await.unwrap()).unwrap();
    assert_eq!(
        change,
        json!({"change": "deleted", "key": "before", "revision": revision + 1})
    );
    watch.signal("-TERM");
    assert_eq!(watch.end().await.0.code(), Some(130));
}
