//! A caller in Python, agents in Rust: finding them, reading their contracts, calling them.

use interop::{Peer, Sdk, schema::meaning};
use openagentmesh::agents;
use serde_json::{Value, json};

use crate::common::{TestMesh, python_lists, raised};
use crate::rust_agents::{echo, gauge, noon, pieces, sentry, summarize, swallow, ticker};

interop::with_each_sdk!(
    catalog_lists_rust_agents_with_all_fields,
    filters_find_rust_agents,
    contract_is_equivalent_to_that_of_python,
    every_agent_of_the_catalog_has_a_contract,
    every_shape_has_its_capabilities,
    calls_get_their_replies,
    every_kind_of_field_means_the_same_in_both_languages,
);

/// Starts a mesh with agents in Rust and a peer in Python whose catalog lists them.
async fn mesh_with_rust_agents(sdk: Sdk) -> (TestMesh, Peer, Vec<Value>) {
    let test = TestMesh::start().await;
    let agents = agents![summarize, echo, noon, swallow];
    test.mesh.register(agents).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let names = ["nlp.summarizer", "echo", "noon", "swallow"];
    let catalog = python_lists(&mut python, &names).await;
    (test, python, catalog)
}

async fn catalog_lists_rust_agents_with_all_fields(sdk: Sdk) {
    let (test, mut python, catalog) = mesh_with_rust_agents(sdk).await;
    assert_eq!(catalog.len(), 4);
    let entry = |name: &str, description: &str, tags: Value, version: &str| {
        let mut entry = json!({
            "name": name, "description": description, "version": version, "tags": tags,
            "invocable": true, "streaming": false,
        });
        if !sdk.has_dotted_names() {
            // 0.1.5 has a separate channel; the Rust SDK writes the channel into the name.
            entry["channel"] = Value::Null;
        }
        entry
    };
    let about_noon = "Tells the time that every clock shows twice a day.";
    for expected in [
        entry(
            "nlp.summarizer",
            "Summarises a text.",
            json!(["text", "summarization"]),
            "1.2.3",
        ),
        entry("noon", about_noon, json!([]), "0.1.0"),
    ] {
        assert!(
            catalog.contains(&expected),
            "{expected} not found in {catalog:?}"
        );
    }

    // A connected peer follows registrations and deregistrations.
    test.mesh.deregister(["noon"]).await.unwrap();
    let fragile = agents![crate::rust_agents::fragile];
    test.mesh.register(fragile).await.unwrap();
    let catalog = python_lists(&mut python, &["fragile"]).await;
    assert!(catalog.iter().all(|entry| entry["name"] != "noon"));
    python.end().await.unwrap();
}

async fn filters_find_rust_agents(sdk: Sdk) {
    let (_test, mut python, _) = mesh_with_rust_agents(sdk).await;
    let mut find = async |filters: Value| -> Vec<String> {
        let found = python.ask("catalog", filters).await.unwrap();
        let names = found.as_array().unwrap().iter();
        names
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(find(json!({"tags": ["text"]})).await, ["nlp.summarizer"]);
    assert_eq!(find(json!({"tags": ["text", "other"]})).await, [""; 0]);
    assert_eq!(find(json!({"streaming": true})).await, [""; 0]);
    assert_eq!(find(json!({"invocable": true})).await.len(), 4);
    // 0.1.5 compares a field that dotted names do not have.
    if sdk.has_dotted_names() {
        assert_eq!(find(json!({"channel": "nlp"})).await, ["nlp.summarizer"]);
        assert_eq!(find(json!({"channel": "nl"})).await, [""; 0]);
    }
}

async fn contract_is_equivalent_to_that_of_python(sdk: Sdk) {
    let (_test, mut python, _) = mesh_with_rust_agents(sdk).await;
    for (name, input, output) in [
        ("nlp.summarizer", Some("Summarize"), Some("Summary")),
        ("echo", Some("Text"), Some("Text")),
        ("noon", None, Some("Text")),
        ("swallow", Some("Numbers"), None),
    ] {
        let contract = python.ask("contract", json!({"name": name})).await.unwrap();
        assert_eq!(contract["name"], name);
        assert_eq!(contract["subject"], format!("mesh.agent.{name}"));
        assert_eq!(
            contract["capabilities"],
            json!({"streaming": false, "invocable": true})
        );
        assert_eq!(contract["chunk_schema"], Value::Null);
        let skill = &contract["skills"][0];
        assert_eq!(skill["id"], name);
        for (keyword, kind) in [("inputSchema", input), ("outputSchema", output)] {
            let Some(kind) = kind else {
                assert_eq!(skill.get(keyword), None, "{name}");
                continue;
            };
            let expected = python.ask("schema", json!({"type": kind})).await.unwrap();
            assert_eq!(
                pretty(&meaning(&skill[keyword])),
                pretty(&meaning(&expected)),
                "{keyword} of {name}: the Rust schema is {}",
                skill[keyword]
            );
        }
    }
    let contract = python
        .ask("contract", json!({"name": "nlp.summarizer"}))
        .await
        .unwrap();
    assert_eq!(contract["description"], "Summarises a text.");
    assert_eq!(contract["version"], "1.2.3");
    assert_eq!(contract["tags"], json!(["text", "summarization"]));
    assert_eq!(
        contract["skills"][0]["tags"],
        json!(["text", "summarization"])
    );
}

/// Indented JSON for assertion messages.
fn pretty(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap()
}

async fn every_agent_of_the_catalog_has_a_contract(sdk: Sdk) {
    let (_test, mut python, _) = mesh_with_rust_agents(sdk).await;
    let found = python.ask("discover", json!({})).await.unwrap();
    let mut found: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        ["\"echo\"", "\"nlp.summarizer\"", "\"noon\"", "\"swallow\""]
    );
}

async fn every_shape_has_its_capabilities(sdk: Sdk) {
    let test = TestMesh::start().await;
    let agents = agents![echo, pieces, noon, ticker, sentry];
    test.mesh.register(agents).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let shapes = [
        ("echo", true, false),
        ("nlp.pieces", true, true),
        ("noon", true, false),
        ("ticker", false, true),
        ("sentry", false, false),
    ];
    let catalog = python_lists(&mut python, &shapes.map(|(name, ..)| name)).await;
    for (name, invocable, streaming) in shapes {
        let entry = catalog.iter().find(|entry| entry["name"] == name).unwrap();
        let contract = python.ask("contract", json!({"name": name})).await.unwrap();
        for it in [entry, &contract, &contract["capabilities"]] {
            assert_eq!(it["invocable"], invocable, "{name}");
            assert_eq!(it["streaming"], streaming, "{name}");
        }
        assert_eq!(contract["chunk_schema"].is_object(), streaming, "{name}");
        let output = contract["skills"][0].get("outputSchema");
        assert_eq!(output.is_some(), invocable && !streaming, "{name}");
    }
    for (filter, count) in [("streaming", 2), ("invocable", 3)] {
        let found = python.ask("catalog", json!({filter: true})).await.unwrap();
        assert_eq!(found.as_array().unwrap().len(), count, "{filter}");
    }
}

async fn calls_get_their_replies(sdk: Sdk) {
    let (_test, mut python, _) = mesh_with_rust_agents(sdk).await;
    let mut call = async |name: &str, payload: Value| {
        let arguments = json!({"name": name, "payload": payload});
        python.ask("call", arguments).await.unwrap()
    };
    let text = json!({
        "text": "one two three", "max_words": 2, "tones": ["formal", "friendly"],
        "origin": {"author": "Ada", "year": null},
    });
    let summary = call("nlp.summarizer", text).await;
    assert_eq!(summary, json!({"summary": "one two", "words": 2}));
    let defaults = json!({"text": "one two three", "tones": [], "origin": {"author": "Ada"}});
    let summary = call("nlp.summarizer", defaults).await;
    assert_eq!(summary, json!({"summary": "one two three", "words": 3}));

    assert_eq!(
        call("echo", json!("grüß dich 👋")).await,
        "Echo: grüß dich 👋"
    );
    assert_eq!(call("noon", Value::Null).await, "12:00");
    assert_eq!(call("swallow", json!([1, 2])).await, json!({}));
}

async fn every_kind_of_field_means_the_same_in_both_languages(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![gauge]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let contract = python
        .ask("contract", json!({"name": "gauge"}))
        .await
        .unwrap();
    let ours = &contract["skills"][0]["inputSchema"];
    let theirs = python
        .ask("schema", json!({"type": "Gauge"}))
        .await
        .unwrap();
    assert_eq!(
        pretty(&meaning(ours)),
        pretty(&meaning(&theirs)),
        "the Rust schema is {ours}"
    );

    let mut call = async |payload: Value| {
        let arguments = json!({"name": "gauge", "payload": payload});
        python.ask("call", arguments).await
    };
    let least = json!({"labels": {}, "ratio": 0.5, "pair": [1, "one"]});
    assert_eq!(call(least).await.unwrap(), 3);
    let most = json!({
        "tone": "formal", "origin": {"author": "Ada"}, "origins": [{"author": "Bob"}],
        "labels": {"a": "b"}, "ratio": 2, "exact": true, "code": "ABC", "pair": [2, "two"],
    });
    assert_eq!(call(most).await.unwrap(), 8);
    let wrong = json!({"labels": {"a": 1}, "ratio": 0, "code": "abc", "pair": [1]});
    let error = raised(call(wrong).await);
    assert_eq!(error.code.as_deref(), Some("invalid_input"));
    let problems = error.details["errors"].as_array().unwrap();
    let mut locations: Vec<_> = problems
        .iter()
        .map(|problem| &problem["location"])
        .collect();
    locations.sort_by_key(|location| location.to_string());
    assert_eq!(locations, ["/code", "/labels/a", "/pair", "/ratio"]);
}
