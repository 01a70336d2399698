//! The catalog: cache, filters, changes, contracts, and thousands of agents.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{TestMesh, echo, eventually, within};
use futures::{StreamExt, stream};
use openagentmesh::{
    Agent, AgentMesh, AgentSpec, CatalogChange, CatalogEntry, ErrorCode, agent, agents,
};
use openagentmesh_local::LocalServer;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

fn agent_called(name: &str, tags: &[&str]) -> Agent {
    let spec = AgentSpec::new(name, format!("Is called {name}."));
    let spec = tags.iter().fold(spec, |spec, tag| spec.tag(*tag));
    spec.handler(|text: String| async move { text })
}

fn names(entries: impl IntoIterator<Item = CatalogEntry>) -> Vec<String> {
    entries.into_iter().map(|entry| entry.name).collect()
}

#[tokio::test]
async fn catalog_with_several_filters_lists_what_matches_all() {
    let test = TestMesh::start().await;
    let agents = [
        agent_called("nlp.sum", &["text", "fast"]),
        agent_called("nlp.deep.think", &["text"]),
        agent_called("nlpx", &["text"]),
        AgentSpec::new("nlp.words", "Streams.")
            .tag("text")
            .handler(|text: String| stream::iter([text])),
        AgentSpec::new("nlp.news", "Publishes.").handler(stream::pending::<u32>),
    ];
    test.mesh.register(agents).await.unwrap();
    let catalog = || test.mesh.catalog();
    let all = names(catalog().await.unwrap());
    assert_eq!(
        all,
        ["nlp.sum", "nlp.deep.think", "nlpx", "nlp.words", "nlp.news"]
    );
    let channel = names(catalog().channel("nlp").await.unwrap());
    assert_eq!(
        channel,
        ["nlp.sum", "nlp.deep.think", "nlp.words", "nlp.news"]
    );
    assert_eq!(
        names(catalog().channel("nlp.deep").await.unwrap()),
        ["nlp.deep.think"]
    );
    assert_eq!(
        names(catalog().tags(["text", "fast"]).await.unwrap()),
        ["nlp.sum"]
    );
    let streaming = names(catalog().streaming(true).await.unwrap());
    assert_eq!(streaming, ["nlp.words", "nlp.news"]);
    assert_eq!(
        names(catalog().invocable(false).await.unwrap()),
        ["nlp.news"]
    );
    let one = catalog()
        .channel("nlp")
        .tag("text")
        .streaming(true)
        .invocable(true);
    assert_eq!(names(one.await.unwrap()), ["nlp.words"]);
    assert!(catalog().tag("nosuch").await.unwrap().is_empty());

    // discover() takes the same filters, here on another connection.
    let contracts = test
        .peer()
        .await
        .discover()
        .channel("nlp")
        .tag("text")
        .await
        .unwrap();
    let found: Vec<_> = contracts.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(found, ["nlp.sum", "nlp.deep.think", "nlp.words"]);
    assert_eq!(
        contracts[0].input_schema.as_ref().unwrap()["type"],
        "string"
    );
    assert!(contracts[2].chunk_schema.is_some());
}

#[tokio::test]
async fn registered_agent_is_listed_at_once_in_its_process() {
    let test = TestMesh::start().await;
    for n in 0..20 {
        let name = format!("agent{n}");
        test.mesh.register(agent_called(&name, &[])).await.unwrap();
        let listed = names(test.mesh.catalog().await.unwrap());
        assert_eq!(listed.last(), Some(&name));
        assert_eq!(listed.len(), n + 1);
    }
    test.mesh.deregister(["agent3"]).await.unwrap();
    assert_eq!(test.mesh.catalog().await.unwrap().len(), 19);
}

#[tokio::test]
async fn repeated_catalog_queries_read_the_bucket_once() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let peer = test.peer().await;
    assert_eq!(names(peer.catalog().await.unwrap()), ["echo"]);
    let raw = test.raw().await;
    let reads = crate::support::subscribed(&raw, "$JS.API.*.MSG.GET.KV_mesh-catalog").await;
    for _ in 0..100 {
        assert_eq!(peer.catalog().await.unwrap().len(), 1);
        peer.call::<String>("echo", "x").await.unwrap();
    }
    let gone = peer.call::<String>("nosuch", "x").await.unwrap_err();
    assert_eq!(gone.code(), &ErrorCode::NotFound);
    // The monitor of the host reads the catalog, too, at most twice a second.
    assert!(drained(&raw, reads).await < 100);
}

/// The number of messages received by now.
async fn drained(raw: &async_nats::Client, mut messages: async_nats::Subscriber) -> usize {
    use futures::{FutureExt, StreamExt};
    // Everything that the server has sent before is received.
    crate::support::synchronize(raw).await;
    let mut count = 0;
    while messages.next().now_or_never().flatten().is_some() {
        count += 1;
    }
    count
}

fn is_added(change: &CatalogChange, name: &str) -> bool {
    matches!(change, CatalogChange::Added(entry) if entry.name == name)
}

#[tokio::test]
async fn catalog_watch_yields_current_entries_then_changes() {
    let test = TestMesh::start().await;
    let peer = test.peer().await;
    test.mesh
        .register(agent_called("a.one", &[]))
        .await
        .unwrap();
    let mut all = peer.catalog().watch();
    let mut some = peer.catalog().channel("b").watch();
    let mut next = async || within(all.next()).await.unwrap();
    assert!(is_added(&next().await, "a.one"));
    test.mesh
        .register(agent_called("b.two", &[]))
        .await
        .unwrap();
    assert!(is_added(&next().await, "b.two"));
    assert!(is_added(&within(some.next()).await.unwrap(), "b.two"));

    // Another host registers the agent with other tags.
    let other = test.peer().await;
    other
        .register(agent_called("b.two", &["new"]))
        .await
        .unwrap();
    for change in [next().await, within(some.next()).await.unwrap()] {
        let CatalogChange::Changed(entry) = change else {
            panic!("{change:?}")
        };
        assert_eq!(entry.tags, ["new"]);
    }
    test.mesh.deregister(["a.one"]).await.unwrap();
    let change = next().await;
    assert!(matches!(&change, CatalogChange::Removed(entry) if entry.name == "a.one"));
    assert_eq!(change.entry().name, "a.one");
    let waiting = tokio::spawn(peer.wait_for("nosuch").into_future());
    peer.shutdown().await.unwrap();
    assert_eq!(within(all.next()).await, None);
    let error = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed);
}

#[tokio::test]
async fn wait_for_resolves_when_the_agent_registers() {
    let test = TestMesh::start().await;
    let peer = test.peer().await;
    let waiting = tokio::spawn(peer.wait_for("echo").into_future());
    let error = peer
        .wait_for("nosuch")
        .timeout(Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout, "{error}");
    assert!(error.message().contains("'nosuch'"), "{error}");
    let error = peer.wait_for("no name").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    test.mesh.register(echo()).await.unwrap();
    assert_eq!(within(waiting).await.unwrap().unwrap().name, "echo");
    // A registered agent resolves at once and can be called.
    within(peer.wait_for("echo")).await.unwrap();
    assert_eq!(peer.call::<String>("echo", "x").await.unwrap(), "Echo: x");
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    #[schemars(length(min = 1))]
    text: String,
    max: u8,
}

/// Truncates a text.
#[agent]
async fn cut(input: Text) -> String {
    input.text.chars().take(usize::from(input.max)).collect()
}

#[tokio::test]
async fn contract_validation_fails_like_the_host() {
    let test = TestMesh::start().await;
    let trigger = AgentSpec::new("now", "Takes nothing.").handler(|| async { 1 });
    test.mesh.register(agents![cut]).await.unwrap();
    test.mesh.register(trigger).await.unwrap();
    let peer = test.peer().await;
    let contract = peer.contract("cut").await.unwrap();
    contract
        .validate(json!({"text": "hello", "max": 3}))
        .unwrap();
    for bad in [
        json!({"text": "", "max": 3}),
        json!({"text": "hello", "max": 300}),
        json!({"text": 7}),
        json!("hello"),
        json!(null),
    ] {
        let here = contract.validate(&bad).unwrap_err();
        let there = peer.call::<String>("cut", &bad).await.unwrap_err();
        assert_eq!(here.code(), &ErrorCode::InvalidInput);
        assert_eq!(here.message(), there.message(), "{bad}");
        assert_eq!(here.details(), there.details(), "{bad}");
        assert_eq!(here.agent(), there.agent());
    }
    peer.contract("now")
        .await
        .unwrap()
        .validate("whatever")
        .unwrap();
    let error = peer.contract("nosuch").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
}

#[tokio::test]
async fn catalog_with_deleted_bucket_is_restored() {
    let test = TestMesh::start().await;
    test.mesh
        .register([echo(), agent_called("other", &[])])
        .await
        .unwrap();
    let peer = test.peer().await;
    assert_eq!(peer.catalog().await.unwrap().len(), 2);
    let jetstream = async_nats::jetstream::new(test.raw().await);
    jetstream.delete_stream("KV_mesh-catalog").await.unwrap();
    test.mesh
        .register(agent_called("third", &[]))
        .await
        .unwrap();
    eventually(|| async {
        let fresh = test.peer().await.catalog().await.unwrap();
        (fresh.len() == 3).then_some(())
    })
    .await;
    eventually(|| async { (peer.catalog().await.unwrap().len() == 3).then_some(()) }).await;
}

/// The watch delivers the first write after this process has made the second one.
#[tokio::test]
async fn late_delivery_of_the_first_write_keeps_newer_entries() {
    let server = LocalServer::start().await.unwrap();
    let raw = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw.clone());
    let config = async_nats::jetstream::stream::Config {
        name: "KV_mesh-catalog".to_owned(),
        subjects: vec!["$KV.mesh-catalog.>".into()],
        max_messages_per_subject: 2,
        allow_rollup: true,
        ..Default::default()
    };
    let stream = jetstream.create_stream(config).await.unwrap();
    let mesh = AgentMesh::connect(server.url()).await.unwrap();
    assert!(mesh.catalog().await.unwrap().is_empty());
    // The catalog may be read before the consumer of its headers is there.
    let name = eventually(|| async { stream.consumer_names().next().await })
        .await
        .unwrap();
    let pause = format!("$JS.API.CONSUMER.PAUSE.KV_mesh-catalog.{name}");
    let until = json!({"pause_until": "2200-01-01T00:00:00Z"}).to_string();
    let paused = raw.request(pause.clone(), until.into()).await.unwrap();
    let paused: Value = serde_json::from_slice(&paused.payload).unwrap();
    assert_eq!(paused["paused"], true, "{paused}");

    let both = ["echo", "other"];
    mesh.register(echo()).await.unwrap();
    mesh.register(agent_called("other", &[])).await.unwrap();
    assert_eq!(names(mesh.catalog().await.unwrap()), both);
    // Without the second write the watch delivers only the first one.
    stream.delete_message(2).await.unwrap();
    raw.request(pause, "".into()).await.unwrap();
    eventually(|| async {
        let info = stream.consumer_info(&name).await.unwrap();
        (info.delivered.consumer_sequence >= 1).then_some(())
    })
    .await;
    // The answers arrive after the delivery.
    for _ in 0..3 {
        mesh.kv().get("absent").await.ok();
        assert_eq!(names(mesh.catalog().await.unwrap()), both);
    }
    // Nor does the host have to add a lost entry again.
    let info = stream.get_info().await.unwrap();
    assert_eq!(info.state.last_sequence, 2);
}

/// Writes `count` entries of agents without a host into the catalog.
async fn crowd(test: &TestMesh, count: usize) {
    let entries: Vec<Value> = (0..count)
        .map(|n| {
            json!({"name": format!("crowd.agent{n}"), "description": "One of many agents.",
                "version": "1.0.0", "tags": ["crowd"], "invocable": true, "streaming": false})
        })
        .collect();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let revision = store
        .entry("catalog")
        .await
        .unwrap()
        .map_or(0, |entry| entry.revision);
    let json = serde_json::to_vec(&entries).unwrap();
    store
        .update("catalog", json.into(), revision)
        .await
        .unwrap();
}

#[tokio::test]
async fn registration_next_to_thousands_writes_the_catalog_once() {
    const CROWD: usize = 5000;
    let test = TestMesh::start().await;
    // Creates the buckets.
    test.mesh
        .register(agent_called("first", &[]))
        .await
        .unwrap();
    test.mesh.deregister(["first"]).await.unwrap();
    crowd(&test, CROWD).await;
    let raw = test.raw().await;
    let reads = crate::support::subscribed(&raw, "$JS.API.*.MSG.GET.KV_mesh-catalog").await;
    let writes = crate::support::subscribed(&raw, "$KV.mesh-catalog.catalog").await;
    let late = test.peer().await;
    late.register(echo()).await.unwrap();
    assert_eq!(names(late.catalog().await.unwrap()).len(), CROWD + 1);
    assert_eq!(late.call::<String>("echo", "x").await.unwrap(), "Echo: x");
    assert_eq!(late.catalog().tag("crowd").await.unwrap().len(), CROWD);
    assert!(drained(&raw, reads).await <= 1);
    assert_eq!(drained(&raw, writes).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_registrations_of_many_hosts_are_all_listed() {
    const HOSTS: usize = 10;
    let test = TestMesh::start().await;
    let hosts: Vec<AgentMesh> = futures::future::join_all((0..HOSTS).map(|_| test.peer())).await;
    let registering = hosts.iter().enumerate().map(|(host, mesh)| {
        let agents: Vec<Agent> = (0..10)
            .map(|n| agent_called(&format!("h{host}.a{n}"), &[]))
            .collect();
        mesh.register(agents)
    });
    within(futures::future::try_join_all(registering))
        .await
        .unwrap();
    for mesh in &hosts {
        eventually(|| async {
            let listed = names(mesh.catalog().await.unwrap());
            let distinct: BTreeSet<_> = listed.iter().collect();
            assert_eq!(distinct.len(), listed.len(), "no duplicates");
            (listed.len() == HOSTS * 10).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn duplicate_catalog_entry_is_listed_once() {
    let test = TestMesh::start().await;
    test.mesh
        .register(agent_called("first", &[]))
        .await
        .unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let twice = r#"[{"name":"dup","description":"one"},{"name":"dup","description":"two"}]"#;
    store.put("catalog", twice.into()).await.unwrap();
    let peer = test.peer().await;
    let mut changes = peer.catalog().channel("dup").watch();
    let change = within(changes.next()).await.unwrap();
    assert_eq!(change.entry().description, "one");
    let listed = peer.catalog().channel("dup").await.unwrap();
    assert_eq!(listed.len(), 1);
    peer.register(agent_called("dup", &[])).await.unwrap();
    let change = within(changes.next()).await.unwrap();
    assert!(
        matches!(&change, CatalogChange::Changed(entry) if entry.description == "Is called dup.")
    );
}

#[tokio::test]
async fn oversized_registration_keeps_existing_contracts() {
    let test = TestMesh::with_max_payload(16 * 1024).await;
    test.mesh
        .register(agent_called("shared", &["ours"]))
        .await
        .unwrap();
    let other = test.peer().await;
    other.catalog().await.unwrap();
    let many = (0..200).map(|n| agent_called(&format!("agent{n}"), &[]));
    let agents: Vec<_> = std::iter::once(agent_called("shared", &["theirs"]))
        .chain(many)
        .collect();
    let error = other.register(agents).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::PayloadTooLarge, "{error}");
    let contract = test.mesh.contract("shared").await.unwrap();
    assert_eq!(contract.tags, ["ours"]);
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let mut registry = jetstream.get_stream("KV_mesh-registry").await.unwrap();
    assert_eq!(registry.info().await.unwrap().state.messages, 1);
}

/// The limits of a stream or of a user may allow no consumer.
#[tokio::test]
async fn catalog_without_a_free_consumer_is_read_on_demand() {
    // The test creates the bucket before any mesh connects.
    let server = LocalServer::start().await.unwrap();
    let raw = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let config = async_nats::jetstream::stream::Config {
        name: "KV_mesh-catalog".to_owned(),
        subjects: vec!["$KV.mesh-catalog.>".into()],
        max_messages_per_subject: 1,
        max_consumers: 1,
        allow_rollup: true,
        ..Default::default()
    };
    let stream = jetstream.create_stream(config).await.unwrap();
    let only = async_nats::jetstream::consumer::pull::Config::default();
    stream.create_consumer(only).await.unwrap();

    let host = AgentMesh::connect(server.url()).await.unwrap();
    let peer = AgentMesh::connect(server.url()).await.unwrap();
    let waiting = tokio::spawn(peer.wait_for("echo").into_future());
    host.register(echo()).await.unwrap();
    assert_eq!(within(waiting).await.unwrap().unwrap().name, "echo");
    assert_eq!(names(peer.catalog().await.unwrap()), ["echo"]);
    assert_eq!(peer.call::<String>("echo", "x").await.unwrap(), "Echo: x");
}

#[tokio::test]
async fn watch_that_is_polled_late_starts_with_the_agents_of_its_creation() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    eventually(|| async { (!test.mesh.catalog().await.unwrap().is_empty()).then_some(()) }).await;
    let mut changes = test.mesh.catalog().watch();
    test.mesh.deregister(["echo"]).await.unwrap();
    let added = within(changes.next()).await.unwrap();
    assert!(matches!(added, CatalogChange::Added(_)), "{added:?}");
    let removed = within(changes.next()).await.unwrap();
    assert!(matches!(removed, CatalogChange::Removed(_)), "{removed:?}");
}
