//! Text of others with characters that control a terminal, change the direction of text, or have no width.

use std::time::Duration;

use futures::stream;
use openagentmesh::{AgentSpec, RawHandler};
use serde_json::{Value, json};

use crate::support::{CommandOutput, TestMesh, within_deadline};

const INVISIBLE: [char; 20] = [
    '\u{1b}', '\u{9b}', '\u{7f}', '\u{61c}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}',
    '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2066}',
    '\u{2067}', '\u{2068}', '\u{2069}', '\u{feff}',
];

fn hostile() -> String {
    let invisible: String = INVISIBLE.iter().collect();
    format!("a{invisible}z")
}

fn assert_visible(command: &[&str], text: &str) {
    let found: Vec<char> = text.chars().filter(|c| INVISIBLE.contains(c)).collect();
    assert!(found.is_empty(), "{command:?}: {found:?}: {text:?}");
}

fn assert_output_visible(command: &[&str], output: &CommandOutput) {
    assert_visible(command, &output.stdout);
    assert_visible(command, &output.stderr);
}

/// An agent whose texts are hostile, and that echoes and fails with hostile text.
async fn start_mesh() -> TestMesh {
    let echo = AgentSpec::new("echo", hostile()).tag(hostile()).raw(
        RawHandler::responder(|request| async move { Ok(request.body) })
            .input_schema(json!({"type": "string", "description": hostile()}))
            .output_schema(json!({"type": "string"})),
    );
    let broken = AgentSpec::new("broken", "Fails.").result_handler(|| async {
        Err::<u32, _>(openagentmesh::Error::new("strange", hostile()))
    });
    let pending = AgentSpec::new("words", "Streams.").handler(|_: u32| stream::iter([hostile()]));
    TestMesh::start([echo, broken, pending]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_of_others_is_shown_escaped() {
    let mesh = start_mesh().await;
    let kv = mesh.client.kv();
    kv.put("a", hostile()).await.unwrap();
    let files = mesh.client.workspace();
    files
        .put(hostile(), "content")
        .description(hostile())
        .content_type("text/plain")
        .metadata("key", hostile())
        .await
        .unwrap();
    let name = hostile();
    for command in [
        &["mesh", "catalog"][..],
        &["mesh", "catalog", "--compact"],
        &["mesh", "catalog", "--json"],
        &["agent", "contract", "echo"],
        &["agent", "contract", "echo", "--format", "text"],
        &["agent", "contract", "echo", "--format", "openai"],
        &["agent", "contract", "echo", "--format", "anthropic"],
        &["agent", "stream", "words", "1"],
        &["kv", "list"],
        &["kv", "list", "--json"],
        &["kv", "get", "a", "--json"],
        &["workspace", "list"],
        &["workspace", "list", "--json"],
        &["workspace", "info", &name],
        &["workspace", "info", &name, "--json"],
        &["workspace", "get", &name, "file"],
    ] {
        let output = mesh.oam(command);
        assert_eq!(output.code, 0, "{command:?}: {output:?}");
        assert_output_visible(command, &output);
    }
    for command in [
        &["agent", "call", "broken"][..],
        &["workspace", "info", "nosuch\u{202e}"],
        &["agent", "call", "nosuch\u{202e}"],
        &["agent", "call", "echo", "1", "\u{1b}[31m\u{202e}"],
        &["mesh", "\u{202e}"],
    ] {
        let output = mesh.oam(command);
        assert_ne!(output.code, 0, "{command:?}: {output:?}");
        assert_output_visible(command, &output);
        assert!(output.stderr.contains("\\u{202e}"), "{output:?}");
    }
    let (code, seen) = mesh.oam_in_terminal(&["kv", "get", "a"]);
    assert_eq!(code, 0);
    assert_visible(&["kv", "get"], &seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn escaped_json_is_the_same_value() {
    let mesh = start_mesh().await;
    let input = serde_json::to_string(&hostile()).unwrap();
    for format in [&[][..], &["--json"]] {
        let command = [&["agent", "call", "echo", &input][..], format].concat();
        let output = mesh.oam(&command);
        assert_visible(&command, &output.stdout);
        let reply: String = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(reply, hostile());
    }
    let output = mesh.oam(&["agent", "contract", "echo"]);
    let contract: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(contract["description"], hostile());
    // For programs, a value is not changed at all.
    mesh.client.kv().put("a", hostile()).await.unwrap();
    let output = mesh.oam(&["kv", "get", "a"]);
    assert_eq!(output.stdout, hostile());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_output_is_shown_escaped() {
    let mesh = start_mesh().await;
    mesh.client.kv().put("a", hostile()).await.unwrap();
    for command in [
        &["kv", "watch"][..],
        &["kv", "watch", "--json"],
        &["mesh", "catalog", "--watch"],
        &["mesh", "catalog", "--watch", "--compact"],
        &["mesh", "catalog", "--watch", "--json"],
    ] {
        let mut running = mesh.start_oam(command);
        let line = running.line().await.unwrap();
        assert_visible(command, &line);
        running.close_stdout();
        let (_, stderr) = running.end().await;
        assert_visible(command, &stderr);
    }
    for command in [
        &["mesh", "listen", "test"][..],
        &["mesh", "listen", "test", "--json"],
    ] {
        let mut running = mesh.start_oam(command);
        let line = within_deadline("message", async {
            loop {
                mesh.client.publish_text("test", hostile()).await.unwrap();
                if let Some(line) = running.line_within(Duration::from_millis(50)).await {
                    return line;
                }
            }
        });
        assert_visible(command, &line.await);
    }
}

/// Writes entries into the catalog as any peer can.
async fn add_to_catalog(mesh: &TestMesh, entries: &[Value]) {
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let bucket = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let stored = bucket.entry("catalog").await.unwrap().unwrap();
    let mut catalog: Vec<Value> = serde_json::from_slice(&stored.value).unwrap();
    catalog.extend_from_slice(entries);
    let changed = serde_json::to_vec(&catalog).unwrap();
    bucket
        .update("catalog", changed.into(), stored.revision)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_whose_name_is_not_that_of_an_agent_is_left_out() {
    let mesh = start_mesh().await;
    let names = [
        "ec\u{202e}oh",
        "echo\u{200b}",
        "two\nlines",
        "",
        "a b",
        "a..b",
        "*",
        ">",
        "../x",
    ];
    let entries = names.map(|name| {
        json!({"name": name, "description": "Hostile.", "version": "1.0.0", "tags": [],
            "invocable": true, "streaming": false})
    });
    add_to_catalog(&mesh, &entries[..1]).await;
    let output = mesh.oam(&["mesh", "catalog", "--json"]);
    assert_eq!(
        output.stderr,
        "{\"note\":\"left out 1 entry of the catalog whose name is not that of an agent\"}\n"
    );
    add_to_catalog(&mesh, &entries[1..]).await;
    for command in [
        &["mesh", "catalog"][..],
        &["mesh", "catalog", "--json"],
        &["mesh", "catalog", "--compact"],
    ] {
        let output = mesh.oam(command);
        assert_eq!(output.code, 0, "{output:?}");
        assert!(!output.stdout.contains("Hostile."), "{output:?}");
        assert!(output.stdout.contains("broken"), "{output:?}");
        let note = "left out 9 entries of the catalog whose names are not those of agents";
        assert!(output.stderr.contains(note), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    }
    let mut watch = mesh.start_oam(&["mesh", "catalog", "--watch"]);
    for _ in 0..3 {
        let line = watch.line().await.unwrap();
        assert!(!line.contains("Hostile."), "{line}");
    }
    let command = mesh
        .sandbox
        .command(&["mesh", "catalog", "--url", &mesh.url])
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    assert_output_visible(&["RUST_LOG=trace"], &command.into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_value_is_printed_in_bounded_space() {
    const DEPTH: usize = 10_000;
    let deep = format!("{}1{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let body = deep.clone();
    let agent = AgentSpec::new("deep", "Returns a deep value.").raw(
        RawHandler::responder(move |_| {
            let body = body.clone();
            async move { Ok(body.into()) }
        })
        .output_schema(json!({})),
    );
    let mesh = TestMesh::start([agent]).await;
    let output = mesh.oam(&["agent", "call", "deep", "--pretty"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.len() < 100 * deep.len());
    assert!(output.stdout.starts_with("[\n  [\n    [\n"));
    let same: String = output.stdout.split_whitespace().collect();
    assert!(same == deep);
    let output = mesh.oam(&["agent", "call", "deep"]);
    assert!(output.stdout.trim_end() == deep);
}
