//! Stored messages that end the connection of a client that receives them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use openagentmesh::AgentSpec;

use crate::support::TestMesh;

/// Far longer than needed: tests run in parallel on shared machines.
const DEADLINE: Duration = Duration::from_secs(60);

/// Header blocks, each with whether a message with it is malformed.
const POISON: [(&[u8], bool); 4] = [
    (b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n", false),
    (b"NATS/1.0 WORD\r\n\r\n", false),
    (b"NATS/1.0\r\nno colon\r\n\r\n", true),
    (b"X: y\r\n\r\n", true),
];
/// The header block on which the NATS client panics.
const BARE_CR: (&[u8], bool) = (b"NATS/1.0\r\nX: a\rb\r\n\r\n", false);

/// Publishes a message past every check of a client, and waits until the server has processed it.
fn publish(url: &str, subject: &str, headers: &[u8], body: &[u8]) {
    let address = url.trim_start_matches("nats://");
    let mut stream = TcpStream::connect(address).unwrap();
    let (head, all) = (headers.len(), headers.len() + body.len());
    let begin = format!(
        "CONNECT {{\"headers\":true,\"verbose\":false}}\r\nHPUB {subject} {head} {all}\r\n"
    );
    let message = [begin.as_bytes(), headers, body, b"\r\nPING\r\n"].concat();
    stream.write_all(&message).unwrap();
    let mut lines = BufReader::new(stream).lines();
    while lines.next().unwrap().unwrap() != "PONG" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_read_past_poisonous_messages() {
    for (headers, is_malformed) in POISON {
        let echo = AgentSpec::new("echo", "Echoes.").handler(|text: String| async move { text });
        let mesh = TestMesh::start([echo]).await;
        let url = mesh.server.url();
        let kv = mesh.client.kv();
        kv.put("a", "1").await.unwrap();
        mesh.client
            .workspace()
            .put("file", "content")
            .await
            .unwrap();
        let mut watch = mesh.start_oam(&["kv", "watch"]);
        assert_eq!(watch.line().await.unwrap(), "a  1");
        publish(url, "$KV.mesh-context.odd", headers, b"2");
        publish(url, "$O.mesh-artifacts.M.b2Rk", headers, b"{}");
        kv.put("z", "3").await.unwrap();

        let mut line = watch.line().await.unwrap();
        if !is_malformed {
            assert_eq!(line, "odd  2");
            line = watch.line().await.unwrap();
        }
        assert_eq!(line, "z  3");
        watch.signal("-INT");
        let (status, _) = watch.end().await;
        assert_eq!(status.code(), Some(130));

        let output = mesh.oam(&["kv", "list", "--json"]);
        assert_eq!(output.code, 0, "{output:?}");
        assert_eq!(output.stdout.contains("odd"), !is_malformed, "{output:?}");
        assert!(output.stdout.contains("\"z\""), "{output:?}");
        let output = mesh.oam(&["kv", "get", "odd"]);
        if is_malformed {
            output.assert_failure(
                &["kv", "get", "odd"],
                1,
                &["malformed message of key 'odd'", "put"],
            );
        } else {
            assert_eq!(
                (output.code, output.stdout.as_str()),
                (0, "2"),
                "{output:?}"
            );
        }
        assert_eq!(mesh.oam(&["kv", "put", "odd", "4"]).code, 0);
        let output = mesh.oam(&["kv", "get", "odd"]);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (0, "4"),
            "{output:?}"
        );
        let output = mesh.oam(&["workspace", "list"]);
        assert!(
            output.code == 0 && output.stdout.contains("file"),
            "{output:?}"
        );

        publish(url, "$KV.mesh-registry.echo", headers, b"{}");
        // The host may lose its connection, and with it a request that has just arrived.
        let call = ["agent", "call", "echo", "\"hello\"", "--timeout", "5s"];
        let started = Instant::now();
        while mesh.oam(&call).stdout.trim() != "\"hello\"" {
            assert!(started.elapsed() < DEADLINE, "the agent does not answer");
        }
    }
}

/// Two agents that no host serves.
const CATALOG: &[u8] = br#"[{"name":"one"},{"name":"two"}]"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_that_ends_connections_is_repaired_on_request() {
    // The server stores a message without its status.
    let has_status = |headers: &[u8]| headers.starts_with(b"NATS/1.0 ");
    for (headers, is_malformed) in POISON.into_iter().chain([BARE_CR]) {
        if has_status(headers) {
            continue;
        }
        let mesh = TestMesh::start([]).await;
        mesh.client.create_buckets().await.unwrap();
        publish(
            mesh.server.url(),
            "$KV.mesh-catalog.catalog",
            headers,
            CATALOG,
        );
        let listed = if is_malformed { 0 } else { 2 };
        for outcome in ["repaired the catalog", "the catalog is valid"] {
            let output = mesh.oam(&["mesh", "repair"]);
            assert_eq!(output.code, 0, "{headers:?}: {output:?}");
            let expected = format!("{outcome}: {listed} agents are listed\n");
            assert_eq!(output.stdout, expected, "{headers:?}: {output:?}");
        }
    }
}
