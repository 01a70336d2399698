//! `oam kv`: values that everybody on the mesh shares.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{Running, Served, in_time};
use openagentmesh::Kv;
use serde_json::{Value, json};

/// Bytes of all values, which are no UTF-8.
fn any_bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 % 256) as u8).collect()
}

/// Puts values under `key` until a line is printed, and gives that line: then the command watches.
async fn until_watched(kv: &Kv, watch: &mut Running, key: &str) -> String {
    in_time("a line", async {
        loop {
            kv.put(key, "?").await.unwrap();
            if let Some(line) = watch.line_within(Duration::from_millis(50)).await {
                return line;
            }
        }
    })
    .await
}

/// The next line that is not about `key`.
async fn next_but(watch: &mut Running, key: &str) -> String {
    loop {
        let line = watch.line().await.unwrap();
        if !line.contains(key) {
            return line;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_put_read_and_deleted() {
    let served = Served::start([]).await;
    let ran = served.oam(&["kv", "put", "greeting", "hello"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "put greeting, revision 1\n"),
        "{ran:?}"
    );
    let ran = served.oam(&["kv", "get", "greeting"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "hello"), "{ran:?}");

    let ran = served.oam(&["kv", "put", "greeting", "-1.5", "--json"]);
    let written: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(written, json!({"key": "greeting", "revision": 2}));
    let ran = served.oam(&["kv", "get", "greeting", "--json"]);
    let mut entry: Value = serde_json::from_str(&ran.stdout).unwrap();
    let created = entry["created"].take();
    assert!(created.as_str().unwrap().ends_with('Z'), "{created}");
    assert_eq!(
        entry,
        json!({"key": "greeting", "revision": 2, "created": null, "value": "-1.5"})
    );

    let ran = served.oam(&["kv", "delete", "greeting"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "deleted greeting\n"));
    assert_eq!(served.mesh.kv().get("greeting").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_stored_and_printed_as_they_are() {
    let served = Served::start([]).await;
    let carried = served.mesh.kv();
    for (arguments, length) in [
        (&["kv", "put", "bytes"][..], 1_500_000),
        (&["kv", "put", "bytes", "-"], 3),
        (&["kv", "put", "bytes"], 0),
    ] {
        let value = any_bytes(length);
        let ran = served.oam_with_bytes(arguments, &value);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let stored = carried.get("bytes").await.unwrap().unwrap();
        assert!(stored.value == value, "{length} bytes");
        let ran = served.oam_with_bytes(&["kv", "get", "bytes"], b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout == value, "{length} bytes");
    }
    carried.put("bytes", &[0xff, 0x00][..]).await.unwrap();
    let ran = served.oam(&["kv", "get", "bytes", "--json"]);
    let entry: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(entry["value"], "/wA=");
    assert_eq!(entry["encoding"], "base64");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gets_a_line_break_behind_a_value() {
    let served = Served::start([]).await;
    for (value, seen) in [("hello", "hello\n"), ("hello\n", "hello\n"), ("", "\n")] {
        served.mesh.kv().put("greeting", value).await.unwrap();
        let ran = served.oam_in_terminal(&["kv", "get", "greeting"]);
        assert_eq!(ran, (0, seen.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_creates() {
    let served = Served::start([]).await;
    let ran = served.oam_with_stdin(&["kv", "create", "leader", "--json"], "first");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = served.oam(&["kv", "create", "leader", "second"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(ran.stderr, @r"
    error[kv_key_exists]: key 'leader' has a value already
      hint: oam kv put leader VALUE replaces it
    ");
    let leader = served.mesh.kv().get("leader").await.unwrap().unwrap();
    assert_eq!(leader.text().unwrap(), "first");
    assert_eq!(served.oam(&["kv", "delete", "leader"]).code, 0);
    assert_eq!(served.oam(&["kv", "create", "leader", "third"]).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_listed_as_a_table_or_as_json() {
    let served = Served::start([]).await;
    let ran = served.oam(&["kv", "list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("no key has a value"), "{ran:?}");

    let kv = served.mesh.kv();
    kv.put("limits.retries", "3").await.unwrap();
    kv.put("a", "two\nlines\u{1b}[31m").await.unwrap();
    kv.put("b", any_bytes(200)).await.unwrap();
    kv.put("c", "long ".repeat(30)).await.unwrap();
    kv.put("d", "").await.unwrap();
    kv.put("gone", "1").await.unwrap();
    kv.delete("gone").await.unwrap();
    let ran = served.oam(&["kv", "list"]);
    insta::assert_snapshot!(ran.stdout, @r"
    KEY             REVISION  VALUE
    a               2         two\nlines\u{1b}[31m
    b               3         (200 bytes)
    c               4         long long long long long long long long long long long long long long long long …
    d               5         (empty)
    limits.retries  1         3
    ");
    let ran = served.oam(&["kv", "list", "limits.*", "--json"]);
    let entries: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["key"], "limits.retries");
    assert_eq!(entries[0]["value"], "3");
    let ran = served.oam(&["kv", "list", "nosuch.>"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(ran.stderr, "no key that matches nosuch.> has a value\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_says_what_to_do() {
    let served = Served::start([]).await;
    for (arguments, code, expected) in [
        (
            &["kv", "get", "nosuch"][..],
            1,
            "error[not_found]: key 'nosuch' has no value\n  hint: oam kv list lists",
        ),
        (&["kv", "delete", "nosuch"], 1, "error[not_found]"),
        (
            &["kv", "get", "no spaces"],
            2,
            "error[invalid_input]: invalid key 'no spaces': only letters",
        ),
        (&["kv", "put", "a..b", "1"], 2, "invalid key 'a..b'"),
        (&["kv", "create", "a.*", "1"], 2, "invalid key 'a.*'"),
        (&["kv", "delete", ""], 2, "invalid key '': must not be empty"),
        (&["kv", "list", "a*"], 2, "as in 'limits.*' or 'limits.>'"),
        (&["kv", "watch", "a..>"], 2, "invalid key pattern 'a..>'"),
        (&["kv", "put", "a", "--jsn"], 2, "unexpected argument"),
        (&["kv", "put", "a", "1", "2"], 2, "unexpected argument '2'"),
        (&["kv", "put"], 2, "<KEY>"),
    ] {
        let ran = served.oam(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    let ran = served.oam_with_bytes(&["kv", "put", "a"], &any_bytes(9 << 20));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("error[payload_too_large]")
            && ran.stderr.contains("oam workspace put NAME FILE"),
        "{}",
        ran.stderr
    );
    let ran = served
        .sandbox
        .oam(&["kv", "get", "a", "--url", "nats://127.0.0.9:9"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("oam mesh up"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_sees_what_other_processes_do() {
    let served = Served::start([]).await;
    let kv = served.mesh.kv();
    kv.put("limits.gone", "1").await.unwrap();
    kv.delete("limits.gone").await.unwrap();
    kv.put("limits.retries", "3").await.unwrap();
    let mut watch = served.start_oam(&["kv", "watch", "limits.*"]);
    assert_eq!(watch.line().await.unwrap(), "limits.retries  3");
    for arguments in [
        &["kv", "put", "limits.retries", "4"][..],
        &["kv", "put", "other", "4"],
        &["kv", "delete", "limits.retries"],
        &["kv", "put", "limits.tries", "two\nlines"],
    ] {
        assert_eq!(served.oam(arguments).code, 0);
    }
    assert_eq!(watch.line().await.unwrap(), "limits.retries  4");
    assert_eq!(watch.line().await.unwrap(), "limits.retries  (deleted)");
    assert_eq!(watch.line().await.unwrap(), "limits.tries  two\\nlines");
    watch.signal("-INT");
    let (status, stderr) = watch.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_updates_begins_with_the_next_one() {
    let served = Served::start([]).await;
    let kv = served.mesh.kv();
    kv.put("before", "1").await.unwrap();
    let mut watch = served.start_oam(&["kv", "watch", "--updates-only", "--json"]);
    let first = until_watched(&kv, &mut watch, "ready").await;
    assert!(first.contains("ready"), "{first}");
    kv.put("bytes", &[0xff, 0x00][..]).await.unwrap();
    kv.delete("before").await.unwrap();
    let mut change: Value = serde_json::from_str(&next_but(&mut watch, "ready").await).unwrap();
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
    assert_eq!(watch.end().await.0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_ends_a_watch_and_is_no_error() {
    let served = Served::start([]).await;
    served
        .mesh
        .kv()
        .put("key", any_bytes(500_000))
        .await
        .unwrap();
    for arguments in [
        &["kv", "watch"][..],
        &["kv", "watch", "nothing.here"],
        &["kv", "get", "key"],
        &["kv", "list", "--json"],
    ] {
        let mut running = served.start_oam(arguments);
        running.stop_reading();
        let (status, stderr) = running.end().await;
        assert_eq!(
            (status.code(), stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
