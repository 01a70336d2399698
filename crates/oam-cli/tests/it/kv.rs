//! `oam kv`: put, get, create, delete and list.

use serde_json::{Value, json};

use crate::support::TestMesh;

/// Bytes of all values, which are not UTF-8.
fn binary_value(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 % 256) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn value_is_put_read_and_deleted() {
    let mesh = TestMesh::start([]).await;
    let output = mesh.oam(&["kv", "put", "greeting", "hello"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "put greeting, revision 1\n"),
        "{output:?}"
    );
    let output = mesh.oam(&["kv", "get", "greeting"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "hello"),
        "{output:?}"
    );

    let output = mesh.oam(&["kv", "put", "greeting", "-1.5", "--json"]);
    let written: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(written, json!({"key": "greeting", "revision": 2}));
    let output = mesh.oam(&["kv", "get", "greeting", "--json"]);
    let mut entry: Value = serde_json::from_str(&output.stdout).unwrap();
    let created = entry["created"].take();
    assert!(created.as_str().unwrap().ends_with('Z'), "{created}");
    assert_eq!(
        entry,
        json!({"key": "greeting", "revision": 2, "created": null, "value": "-1.5"})
    );

    let output = mesh.oam(&["kv", "delete", "greeting"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "deleted greeting\n")
    );
    assert_eq!(mesh.client.kv().get("greeting").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_value_is_stored_and_printed_unchanged() {
    let mesh = TestMesh::start([]).await;
    let kv = mesh.client.kv();
    for (arguments, length) in [
        (&["kv", "put", "bytes"][..], 1_500_000),
        (&["kv", "put", "bytes", "-"], 3),
        (&["kv", "put", "bytes"], 0),
    ] {
        let value = binary_value(length);
        let output = mesh.oam_with_bytes(arguments, &value);
        assert_eq!(output.code, 0, "{}", output.stderr);
        let stored = kv.get("bytes").await.unwrap().unwrap();
        assert!(stored.value == value, "{length} bytes");
        let output = mesh.oam_with_bytes(&["kv", "get", "bytes"], b"");
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        assert!(output.stdout == value, "{length} bytes");
    }
    kv.put("bytes", &[0xff, 0x00][..]).await.unwrap();
    let output = mesh.oam(&["kv", "get", "bytes", "--json"]);
    let entry: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(entry["value"], "/wA=");
    assert_eq!(entry["encoding"], "base64");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn value_in_a_terminal_ends_with_a_line_break() {
    let mesh = TestMesh::start([]).await;
    for (value, seen) in [("hello", "hello\n"), ("hello\n", "hello\n"), ("", "\n")] {
        mesh.client.kv().put("greeting", value).await.unwrap();
        let output = mesh.oam_in_terminal(&["kv", "get", "greeting"]);
        assert_eq!(output, (0, seen.to_owned()));
    }
    mesh.client.kv().put("bytes", vec![0xff]).await.unwrap();
    let (code, seen) = mesh.oam_in_terminal(&["kv", "get", "bytes"]);
    assert_eq!(code, 1);
    assert!(seen.contains("binary value not printed"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_create_is_key_exists() {
    let mesh = TestMesh::start([]).await;
    let output = mesh.oam_with_stdin(&["kv", "create", "leader", "--json"], "first");
    assert_eq!(output.code, 0, "{output:?}");
    let output = mesh.oam(&["kv", "create", "leader", "second"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(output.stderr, @r"
    error[kv_key_exists]: key 'leader' already has a value
      hint: oam kv put leader VALUE replaces it
      page: https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/reference/errors/kv_key_exists.md
    ");
    let leader = mesh.client.kv().get("leader").await.unwrap().unwrap();
    assert_eq!(leader.text().unwrap(), "first");
    assert_eq!(mesh.oam(&["kv", "delete", "leader"]).code, 0);
    assert_eq!(mesh.oam(&["kv", "create", "leader", "third"]).code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn value_is_text_a_file_or_stdin() {
    let mesh = TestMesh::start([]).await;
    std::fs::write(mesh.sandbox.work().join("in"), [0xff, 0, b'\n']).unwrap();
    for (arguments, stdin, expected) in [
        (&["put", "a", "text"][..], "", &b"text"[..]),
        (&["put", "a", "@in"], "", b"\xff\0\n"),
        (&["put", "a", "@-"], "piped\n", b"piped\n"),
        (&["put", "a", "-"], "piped", b"piped"),
        (&["put", "a", "--literal", "@in"], "", b"@in"),
        (&["put", "a", "@", "--literal"], "", b"@"),
        (&["put", "a", "-", "--literal"], "piped", b"-"),
        (&["put", "a", "b@in"], "", b"b@in"),
        (&["create", "b", "@in"], "", b"\xff\0\n"),
        (&["update", "c", "@in", "--revision", "0"], "", b"\xff\0\n"),
    ] {
        let command = [&["kv"], arguments].concat();
        let output = mesh.oam_with_stdin(&command, stdin);
        assert_eq!(
            (output.code, output.stderr.as_str()),
            (0, ""),
            "{command:?}"
        );
        let stored = mesh.client.kv().get(arguments[1]).await.unwrap().unwrap();
        assert_eq!(stored.value, expected, "{command:?}");
    }
    for (value, fragments) in [
        (
            "@missing",
            &["cannot read missing", "--literal stores the value"][..],
        ),
        (
            "@",
            &["missing file name after @", "--literal stores the value"],
        ),
        ("@.", &["cannot read .: the path is a directory"]),
    ] {
        let command = ["kv", "put", "a", value];
        mesh.oam(&command).assert_failure(&command, 2, fragments);
    }
    let command = ["kv", "put", "a", "--literal"];
    mesh.oam(&command).assert_failure(&command, 2, &["<VALUE>"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_of_another_revision_names_the_current_one() {
    let mesh = TestMesh::start([]).await;
    let update = |key: &'static str, value, revision| {
        mesh.oam(&["kv", "update", key, value, "--revision", revision])
    };
    let output = update("plan", "first", "0");
    assert_eq!(output.stdout, "put plan, revision 1\n", "{output:?}");
    let output = update("plan", "second", "1");
    assert_eq!(output.stdout, "put plan, revision 2\n", "{output:?}");
    let output = update("plan", "third", "1");
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(output.stderr, @r"
    error[kv_wrong_revision]: key 'plan' has revision 2, not 1: it was written in between
      hint: oam kv get plan --json shows the current value
      page: https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/reference/errors/kv_wrong_revision.md
    ");
    let arguments = ["kv", "update", "plan", "x", "--revision", "1", "--json"];
    let output = mesh.oam(&arguments);
    let error: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], "kv_wrong_revision");
    assert_eq!(
        error["error"]["details"],
        json!({"key": "plan", "expected": 1, "current": 2})
    );

    mesh.client.kv().delete("plan").await.unwrap();
    let command = ["kv", "update", "plan", "x", "--revision", "2"];
    let expected = [
        "error[kv_wrong_revision]: key 'plan' has no value",
        "oam kv create plan VALUE",
    ];
    mesh.oam(&command).assert_failure(&command, 1, &expected);
    let command = ["kv", "update", "plan", "x"];
    mesh.oam(&command)
        .assert_failure(&command, 2, &["--revision <N>"]);
    let command = ["kv", "update", "plan", "x", "--revision", "-1"];
    mesh.oam(&command)
        .assert_failure(&command, 2, &["--revision"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_has_the_kept_revisions() {
    let mesh = TestMesh::start([]).await;
    let kv = mesh.client.kv();
    kv.put("plan", "one").await.unwrap();
    kv.put("plan", "two").await.unwrap();
    let last = mesh.oam(&["kv", "history", "plan"]);
    assert_eq!(last.stdout.lines().count(), 2, "{last:?}");
    assert!(
        last.stdout.lines().nth(1).unwrap().starts_with("2 "),
        "{last:?}"
    );
    assert!(last.stdout.ends_with("  two\n"), "{last:?}");

    let nats = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(nats);
    let mut stream = jetstream.get_stream("KV_mesh-context").await.unwrap();
    let mut config = stream.info().await.unwrap().config.clone();
    config.max_messages_per_subject = 10;
    jetstream.update_stream(config).await.unwrap();
    kv.put("plan", vec![0xff]).await.unwrap();
    kv.delete("plan").await.unwrap();
    kv.put("planet", "other").await.unwrap();
    kv.put("plan", "five").await.unwrap();
    let output = mesh.oam(&["kv", "history", "plan", "--json"]);
    let mut writes: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    for write in &mut writes {
        assert!(write["created"].take().as_str().unwrap().ends_with('Z'));
    }
    let expected = json!([
        {"change": "put", "key": "plan", "revision": 2, "created": null, "value": "two"},
        {"change": "put", "key": "plan", "revision": 3, "created": null, "value": "/w==", "encoding": "base64"},
        {"change": "deleted", "key": "plan", "revision": 4, "created": null},
        {"change": "put", "key": "plan", "revision": 6, "created": null, "value": "five"},
    ]);
    assert_eq!(Value::from(writes), expected);
    let output = mesh.oam(&["kv", "history", "plan"]);
    let values: Vec<_> = output
        .stdout
        .lines()
        .map(|line| line.rsplit("  ").next().unwrap())
        .collect();
    assert_eq!(values, ["VALUE", "two", "(1 bytes)", "(deleted)", "five"]);

    let command = ["kv", "history", "nosuch"];
    mesh.oam(&command)
        .assert_failure(&command, 5, &["key 'nosuch' was never written"]);
    let command = ["kv", "history", "a.*"];
    mesh.oam(&command).assert_failure(&command, 2, &["'a.*'"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_is_a_table_or_json() {
    let mesh = TestMesh::start([]).await;
    let output = mesh.oam(&["kv", "list"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert!(output.stderr.contains("no key has a value"), "{output:?}");

    let kv = mesh.client.kv();
    kv.put("limits.retries", "3").await.unwrap();
    kv.put("a", "two\nlines\u{1b}[31m").await.unwrap();
    kv.put("b", binary_value(200)).await.unwrap();
    kv.put("c", "long ".repeat(30)).await.unwrap();
    kv.put("d", "").await.unwrap();
    kv.put("gone", "1").await.unwrap();
    kv.delete("gone").await.unwrap();
    let output = mesh.oam(&["kv", "list"]);
    insta::assert_snapshot!(output.stdout, @r"
    KEY             REVISION  VALUE
    a               2         two\nlines\u{1b}[31m
    b               3         (200 bytes)
    c               4         long long long long long long long long long long long long long long long long …
    d               5         (empty)
    limits.retries  1         3
    ");
    let output = mesh.oam(&["kv", "list", "limits.*", "--json"]);
    let entries: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["key"], "limits.retries");
    assert_eq!(entries[0]["value"], "3");
    let output = mesh.oam(&["kv", "list", "nosuch.>"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert_eq!(output.stderr, "no key that matches nosuch.> has a value\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_command_reports_code_and_hint() {
    let mesh = TestMesh::start([]).await;
    for (arguments, code, fragments) in [
        (
            &["kv", "get", "nosuch"][..],
            5,
            &[
                "error[not_found]: key 'nosuch' has no value",
                "  hint: oam kv list lists",
            ][..],
        ),
        (&["kv", "delete", "nosuch"], 5, &["error[not_found]"]),
        (
            &["kv", "get", "no spaces"],
            2,
            &[
                "error[invalid_input]",
                "'no spaces'",
                "letters",
                "dots separate the segments",
            ],
        ),
        (
            &["kv", "put", "a..b", "1"],
            2,
            &["error[invalid_input]", "'a..b'"],
        ),
        (
            &["kv", "create", "a.*", "1"],
            2,
            &["error[invalid_input]", "'a.*'"],
        ),
        (
            &["kv", "delete", ""],
            2,
            &["error[invalid_input]", "''", "empty"],
        ),
        (
            &["kv", "list", "a*"],
            2,
            &["error[invalid_input]", "as in 'limits.*' or 'limits.>'"],
        ),
        (
            &["kv", "watch", "a..>"],
            2,
            &["error[invalid_input]", "'a..>'"],
        ),
        (&["kv", "put", "a", "--jsn"], 2, &["unexpected argument"]),
        (
            &["kv", "put", "a", "1", "2"],
            2,
            &["unexpected argument '2'"],
        ),
        (&["kv", "put"], 2, &["<KEY>"]),
    ] {
        mesh.oam(arguments)
            .assert_failure(arguments, code, fragments);
    }
    let output = mesh.oam_with_bytes(&["kv", "put", "a"], &binary_value(9 << 20));
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(
        output.stderr.contains("error[payload_too_large]")
            && output.stderr.contains("oam workspace put NAME FILE"),
        "{}",
        output.stderr
    );
    let output = mesh
        .sandbox
        .oam(&["kv", "get", "a", "--url", "nats://127.0.0.9:9"]);
    assert_eq!(output.code, 3);
    assert!(output.stderr.contains("check the port"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_is_no_error() {
    let mesh = TestMesh::start([]).await;
    mesh.client
        .kv()
        .put("key", binary_value(500_000))
        .await
        .unwrap();
    for arguments in [
        &["kv", "watch"][..],
        &["kv", "watch", "nothing.here"],
        &["kv", "get", "key"],
        &["kv", "list", "--json"],
    ] {
        let mut running = mesh.start_oam(arguments);
        running.close_stdout();
        let (status, stderr) = running.end().await;
        assert_eq!(
            (status.code(), stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
