//! `oam mesh publish`: one message on a subject.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TestMesh, within_deadline};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_reaches_its_subscribers() {
    let mesh = TestMesh::start([]).await;
    std::fs::write(
        mesh.sandbox.work().join("in.json"),
        "\u{feff}{\"id\": 3}\r\n",
    )
    .unwrap();
    let mut orders = mesh
        .client
        .subscribe_subject::<Value>("orders.*")
        .await
        .unwrap();
    for (arguments, stdin, expected) in [
        (&["{\"id\": 1}"][..], "", json!({"id": 1})),
        (&["-2.50"], "", json!(-2.5)),
        (&["-1e-3"], "", json!(-0.001)),
        (&["@in.json"], "", json!({"id": 3})),
        (&["-"], "[4]\n", json!([4])),
        (&["@-"], "[5]\n", json!([5])),
        (&[], "[6]\n", json!([6])),
    ] {
        let command = [&["mesh", "publish", "orders.new"], arguments].concat();
        let output = mesh.oam_with_stdin(&command, stdin);
        assert_eq!(
            (output.code, output.stderr.as_str()),
            (0, ""),
            "{command:?}"
        );
        assert!(
            output.stdout.starts_with("published to orders.new, "),
            "{output:?}"
        );
        let order = within_deadline("message", orders.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((order.subject(), &order.data), ("orders.new", &expected));
    }
    let output = mesh.oam(&["mesh", "publish", "orders.x", "\"é\"", "--json"]);
    let printed: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(printed, json!({"subject": "orders.x", "bytes": 4}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_message_keeps_its_bytes() {
    let mesh = TestMesh::start([]).await;
    let bytes: Vec<u8> = (0..=255).collect();
    std::fs::write(mesh.sandbox.work().join("image"), &bytes).unwrap();
    let raw = mesh.client.subscribe_subject::<Value>("raw").raw().await;
    let mut raw = raw.unwrap();
    for (argument, stdin, expected) in [
        ("not {json", &b""[..], &b"not {json"[..]),
        ("", b"", b""),
        ("@image", b"", &bytes),
        ("-", b"\xff\0\n", b"\xff\0\n"),
    ] {
        let command = ["mesh", "publish", "raw", argument, "--raw", "-H", "Kind=x"];
        let output = mesh.oam_with_bytes(&command, stdin);
        assert_eq!(output.code, 0, "{}", output.stderr);
        let message = within_deadline("message", raw.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&message.data[..], expected);
        assert_eq!(message.header("Kind"), Some("x"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_message_or_subject_is_a_usage_error() {
    let mesh = TestMesh::start([]).await;
    for (arguments, fragments) in [
        (
            &["orders.new", "hello"][..],
            &[
                "invalid JSON message",
                "oam mesh publish orders.new '\"hello\"'",
            ][..],
        ),
        (
            &["orders.new", "{"],
            &["invalid JSON message in the argument", "--raw"],
        ),
        (&["orders.new", ""], &["invalid JSON message", "--raw"]),
        (&["orders.new", "@missing"], &["cannot read missing"]),
        (&["orders.*", "1"], &["wildcards are not allowed"]),
        (&["a b", "1"], &["invalid subject 'a b'"]),
        (&["a..b", "1"], &["invalid subject 'a..b'"]),
        (
            &["$KV.mesh-catalog.catalog", "1"],
            &["invalid subject '$KV", "only the server"],
        ),
        (&["$SYS.REQ.SERVER.PING", "1"], &["only the server"]),
        (
            &["mesh.death.echo", "1"],
            &["only the server and the processes of the mesh"],
        ),
        (
            &["mesh.instance.a.down", "1"],
            &["only the server and the processes of the mesh"],
        ),
        (
            &["orders.new", "1", "-H", "Nats-Msg-Id=1"],
            &["belongs to the protocol"],
        ),
        (&["orders.new", "1", "2"], &["unexpected argument '2'"]),
        (
            &["orders.new", "1", "--jsn"],
            &["unexpected argument", "'--json'"],
        ),
    ] {
        let command = [&["mesh", "publish"], arguments].concat();
        mesh.oam(&command).assert_failure(&command, 2, fragments);
    }
    let command = [
        "mesh",
        "publish",
        "orders.new",
        "1",
        "--url",
        "nats://127.0.0.9:9",
    ];
    let expected = ["error[connection_failed]"];
    Sandbox::new()
        .oam(&command)
        .assert_failure(&command, 3, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeout_covers_reading_the_message() {
    let mesh = TestMesh::start([]).await;
    let command = [
        "mesh",
        "publish",
        "orders.new",
        "--timeout",
        "1.5",
        "--url",
        &mesh.url,
    ];
    let mut child = mesh.sandbox.command(&command);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let output: CommandOutput = child.wait_with_output().unwrap().into();
    drop(stdin);
    let expected = [
        "waiting for the end of stdin",
        "the message was not read within 1.5s",
    ];
    output.assert_failure(&command, 124, &expected);
}
