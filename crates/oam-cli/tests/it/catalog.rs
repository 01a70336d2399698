//! `oam mesh catalog`: formats, filters and the watch.

use futures::{Stream, stream};
use openagentmesh::{AgentMesh, agent, agents};
use serde_json::{Value, json};

use crate::support::TestMesh;

/// Echoes a message back. Nothing else.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Counts to a number.
#[agent(channel = "math", tags = ["numbers", "slow"])]
fn counter(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Publishes nothing.
#[agent(channel = "news")]
fn ticker() -> impl Stream<Item = u32> {
    stream::pending()
}

/// Does nothing.
#[agent]
async fn idle() {
    std::future::pending().await
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![echo, counter, ticker, idle]).await
}

/// The names in a catalog printed as JSON.
fn names(json: &str) -> Vec<String> {
    let entries: Vec<Value> = serde_json::from_str(json).unwrap();
    let names = entries.iter().map(|entry| entry["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

/// Changes a description in the catalog, as a host with a newer version of an agent does.
async fn replace_description(mesh: &TestMesh, before: &str, after: &str) {
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let entry = catalog.entry("catalog").await.unwrap().unwrap();
    let changed = str::from_utf8(&entry.value).unwrap().replace(before, after);
    catalog
        .update("catalog", changed.into(), entry.revision)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_is_a_table_or_json() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["mesh", "catalog"]);
    insta::assert_snapshot!(output.stdout, @r"
    NAME          USE        TAGS           DESCRIPTION
    echo          call                      Echoes a message back. Nothing else.
    idle          -                         Does nothing.
    math.counter  stream     numbers, slow  Counts to a number.
    news.ticker   subscribe                 Publishes nothing.
    ");
    let output = mesh.oam(&["mesh", "catalog", "--channel", "math", "--json"]);
    let entries: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["name"], "math.counter");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_without_match_is_an_empty_table_with_a_note() {
    let mesh = start_mesh().await;
    for format in [&[][..], &["--compact"]] {
        let command = [&["mesh", "catalog", "--tag", "nosuch"], format].concat();
        let output = mesh.oam(&command);
        assert_eq!((output.code, output.stdout.as_str()), (0, ""));
        assert!(output.stderr.contains("none of the 4 agents"), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_is_no_error() {
    let mesh = start_mesh().await;
    let mut catalog = mesh.start_oam(&["mesh", "catalog", "--json"]);
    catalog.close_stdout();
    let (status, stderr) = catalog.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_with_filters_lists_matching_agents() {
    let mesh = start_mesh().await;
    for (filters, expected) in [
        (
            &[][..],
            &["echo", "idle", "math.counter", "news.ticker"][..],
        ),
        (&["--streaming"], &["math.counter", "news.ticker"]),
        (&["--streaming=false"], &["echo", "idle"]),
        (&["--invocable=true"], &["echo", "math.counter"]),
        (&["--invocable=false"], &["idle", "news.ticker"]),
        (&["--invocable", "--streaming"], &["math.counter"]),
        (&["--tag", "slow", "--tag", "numbers"], &["math.counter"]),
        (&["--tag", "slow", "--tag", "fast"], &[]),
        (&["--streaming", "--channel", "news"], &["news.ticker"]),
    ] {
        let output = mesh.oam(&[&["mesh", "catalog", "--json"], filters].concat());
        assert_eq!(output.code, 0, "{filters:?}: {output:?}");
        assert_eq!(names(&output.stdout), expected, "{filters:?}");
    }
    for (filters, expected) in [
        (
            &["--streaming=perhaps"][..],
            "[possible values: true, false]",
        ),
        (&["--streaming", "false"], "unexpected argument 'false'"),
        (
            &["--compact", "--json"],
            "--compact and --json exclude each other",
        ),
    ] {
        let output = mesh.oam(&[&["mesh", "catalog"], filters].concat());
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (2, ""),
            "{filters:?}"
        );
        assert!(output.stderr.contains(expected), "{filters:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compact_catalog_has_one_line_per_agent() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["mesh", "catalog", "--compact"]);
    insta::assert_snapshot!(output.stdout, @r"
    echo: Echoes a message back.
    idle (background): Does nothing.
    math.counter (stream): Counts to a number. #numbers #slow
    news.ticker (subscribe): Publishes nothing.
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_ends_after_the_count_of_lines() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["mesh", "catalog", "--watch", "-n", "2"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout.lines().count(), 2, "{output:?}");
    let command = ["mesh", "catalog", "-n", "2"];
    mesh.oam(&command).assert_failure(&command, 2, &["--watch"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_prints_added_changed_and_removed_agents() {
    let mesh = TestMesh::start(agents![ticker]).await;
    let mut people = mesh.start_oam(&["mesh", "catalog", "--watch", "--invocable"]);
    let mut programs = mesh.start_oam(&["mesh", "catalog", "--watch", "--invocable", "--json"]);
    let mut models = mesh.start_oam(&[
        "mesh",
        "catalog",
        "--watch",
        "--compact",
        "--channel",
        "news",
    ]);
    assert_eq!(
        models.line().await.unwrap(),
        "+ news.ticker (subscribe): Publishes nothing."
    );

    // A separate connection, as another process would have.
    let other = AgentMesh::connect(&mesh.url).await.unwrap();
    other.register(agents![echo]).await.unwrap();
    let added = "+ echo  Echoes a message back. Nothing else.";
    assert_eq!(people.line().await.unwrap(), added);
    // Each watch is seen to have the state before the next change: it may skip one that lasts for a short time.
    let first: Value = serde_json::from_str(&programs.line().await.unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"change": "added", "agent": {
            "name": "echo", "description": "Echoes a message back. Nothing else.",
            "version": "0.1.0", "tags": [], "invocable": true, "streaming": false,
        }})
    );
    replace_description(&mesh, "Echoes a message", "Echoes, and\\nchanges").await;
    let changed = "~ echo  Echoes, and\\nchanges back. Nothing else.";
    assert_eq!(people.line().await.unwrap(), changed);
    let changed: Value = serde_json::from_str(&programs.line().await.unwrap()).unwrap();
    assert_eq!(changed["change"], "changed");
    other.shutdown().await.unwrap();
    // The host may put its own description back before it leaves.
    let mut removed = people.line().await.unwrap();
    if removed == added.replacen('+', "~", 1) {
        removed = people.line().await.unwrap();
    }
    assert_eq!(removed, "- echo");
    let mut removed: Value = serde_json::from_str(&programs.line().await.unwrap()).unwrap();
    if removed == json!({"change": "changed", "agent": first["agent"]}) {
        removed = serde_json::from_str(&programs.line().await.unwrap()).unwrap();
    }
    assert_eq!(removed["change"], "removed");

    for (running, signal) in [(&mut people, "-INT"), (&mut programs, "-TERM")] {
        running.signal(signal);
        let (status, stderr) = running.end().await;
        assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
    }
    models.close_stdout();
    let (status, stderr) = models.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_catalog_is_reported_and_listed_after_its_repair() {
    let echo = openagentmesh::AgentSpec::new("echo", "Echoes.")
        .handler(|text: String| async move { text });
    let mesh = TestMesh::start([echo]).await;
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    catalog.put("catalog", "null".into()).await.unwrap();
    let output = mesh.oam(&["mesh", "catalog"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("echo"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_catalog_without_a_host_is_an_error() {
    let mesh = TestMesh::start([]).await;
    mesh.client.create_buckets().await.unwrap();
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    catalog.put("catalog", "null".into()).await.unwrap();
    let output = mesh.oam(&["mesh", "catalog"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("malformed catalog: "), "{output:?}");
    assert!(output.stderr.contains("waiting for a host"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_catalog_without_a_host_is_repaired_on_request() {
    let mesh = TestMesh::start([]).await;
    mesh.client.create_buckets().await.unwrap();
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let repair = |options: &[&str]| mesh.oam(&[&["mesh", "repair"], options].concat());

    catalog.put("catalog", "null".into()).await.unwrap();
    let output = repair(&[]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stdout, "repaired the catalog: 0 agents are listed\n");
    assert!(output.stderr.contains("malformed catalog: "), "{output:?}");
    let output = repair(&[]);
    assert_eq!(output.stdout, "the catalog is valid: 0 agents are listed\n");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));

    catalog.put("catalog", "{".into()).await.unwrap();
    let repaired: Value = serde_json::from_str(&repair(&["--json"]).stdout).unwrap();
    assert_eq!(
        (&repaired["repaired"], &repaired["agents"]),
        (&json!(true), &json!(0))
    );
    let problem = repaired["problem"].as_str().unwrap();
    assert!(problem.contains("malformed catalog: "), "{problem}");
    let valid: Value = serde_json::from_str(&repair(&["--json"]).stdout).unwrap();
    let expected = json!({"repaired": false, "problem": null, "agents": 0});
    assert_eq!(valid, expected);
    assert_eq!(mesh.oam(&["mesh", "catalog"]).code, 0);
}
