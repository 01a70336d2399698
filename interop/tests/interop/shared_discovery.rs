//! A Rust process follows the catalog and reads the contracts of Python agents.

use std::collections::BTreeMap;
use std::time::Duration;

use interop::Sdk;
use openagentmesh::{CatalogChange, CatalogChanges, ErrorCode, agents};
use serde_json::{Value, json};

use crate::common::{TestMesh, within};
use crate::rust_agents::{Summary, noon};

interop::with_each_sdk!(
    catalog_follows_python_agents,
    wait_resolves_when_a_python_agent_registers,
    discover_returns_the_contracts_of_python,
    python_contract_explains_an_invalid_input,
);

/// The next `count` changes, as whether each agent is listed.
async fn changes(changes: &mut CatalogChanges, count: usize) -> BTreeMap<String, bool> {
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        let change = within(changes.next()).await.unwrap();
        let is_listed = !matches!(change, CatalogChange::Removed(_));
        seen.insert(change.entry().name.clone(), is_listed);
    }
    seen
}

async fn catalog_follows_python_agents(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![noon]).await.unwrap();
    // A second instance that only follows the catalog.
    let listener = test.rust_peer().await;
    assert_eq!(listener.catalog().await.unwrap().len(), 1);
    let mut all = listener.catalog().watch();
    let mut nlp = listener.catalog().channel("nlp").streaming(true).watch();
    let own = BTreeMap::from([("noon".to_owned(), true)]);
    assert_eq!(changes(&mut all, 1).await, own);

    let names = ["echo", "nlp.pieces", "nlp.summarizer", "ticker"];
    let every = |is_listed| BTreeMap::from(names.map(|name| (name.to_owned(), is_listed)));
    let python = test.python_host(sdk, &names).await;
    assert_eq!(changes(&mut all, names.len()).await, every(true));
    // The snapshot has the changes that the watch delivered.
    assert_eq!(listener.catalog().await.unwrap().len(), 1 + names.len());
    let streaming = listener.catalog().channel("nlp").streaming(true).await;
    let streaming = streaming.unwrap();
    assert_eq!(streaming.len(), 1);
    let CatalogChange::Added(added) = within(nlp.next()).await.unwrap() else {
        panic!("the change is not an addition")
    };
    assert_eq!(added, streaming[0]);
    assert_eq!(added.name, "nlp.pieces");
    assert_eq!(added.tags, ["text"]);

    python.end().await.unwrap();
    assert_eq!(changes(&mut all, names.len()).await, every(false));
    let gone = CatalogChange::Removed(added);
    assert_eq!(within(nlp.next()).await, Some(gone));
    let left = listener.catalog().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].name, "noon");
    assert_eq!(listener.catalog().fresh().await.unwrap(), left);
    let error = listener.call::<Value>("echo", "x").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
}

async fn wait_resolves_when_a_python_agent_registers(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    let listener = test.rust_peer().await;
    let waiting = async {
        let appears = listener.wait_for("nlp.summarizer");
        let entry = appears.timeout(Duration::from_secs(30)).await.unwrap();
        assert_eq!(entry.version, "1.2.3");
        let input = json!({"text": "a b c", "tones": [], "origin": {"author": "x"}});
        listener.call::<Summary>("nlp.summarizer", input).await
    };
    let arguments = json!({"names": ["nlp.summarizer"]});
    let (reply, hosted) = tokio::join!(waiting, python.ask("host", arguments));
    hosted.unwrap();
    assert_eq!(reply.unwrap().words, 3);

    // A listed agent resolves at once.
    within(listener.wait_for("nlp.summarizer")).await.unwrap();
    let appears = listener.wait_for("unserved");
    let error = appears.timeout(Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
}

async fn discover_returns_the_contracts_of_python(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![noon]).await.unwrap();
    let names = ["nlp.summarizer", "nlp.pieces", "translate", "ticker"];
    let _python = test.python_host(sdk, &names).await;
    within(test.mesh.wait_for("ticker")).await.unwrap();

    let mut all = test.mesh.discover().await.unwrap();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let found: Vec<&str> = all.iter().map(|contract| contract.name.as_str()).collect();
    let every = [
        "nlp.pieces",
        "nlp.summarizer",
        "noon",
        "ticker",
        "translate",
    ];
    assert_eq!(found, every);
    for contract in &all {
        let alone = test.mesh.contract(&contract.name).await.unwrap();
        assert_eq!(contract, &alone);
    }
    let pieces = &all[0];
    assert!(pieces.capabilities.streaming);
    assert_eq!(pieces.input_schema.as_ref().unwrap()["type"], "string");
    assert!(pieces.chunk_schema.is_some());

    let found = test.mesh.discover().channel("nlp").invocable(true);
    let found = found.tag("summarization").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name.as_str(), "nlp.summarizer");
    assert_eq!(found[0].description, "Summarises a text.");
}

async fn python_contract_explains_an_invalid_input(sdk: Sdk) {
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["nlp.summarizer", "noon"]).await;
    let contract = test.mesh.contract("nlp.summarizer").await.unwrap();
    let bad = json!({
        "text": "", "max_words": 101, "tones": ["formal", "rude"], "origin": {"year": "1999"},
    });
    let error = contract.validate(&bad).unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert_eq!(error.agent(), Some("nlp.summarizer"));
    let problems = error.details()["errors"].as_array().unwrap();
    let mut locations: Vec<&str> = problems
        .iter()
        .map(|problem| problem["location"].as_str().unwrap())
        .collect();
    locations.sort_unstable();
    assert_eq!(
        locations,
        [
            "/max_words",
            "/origin/author",
            "/origin/year",
            "/text",
            "/tones/1"
        ]
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem["message"].is_string())
    );

    let good = json!({
        "text": "a b", "max_words": null, "tones": ["formal"],
        "origin": {"author": "x", "year": null},
    });
    contract.validate(&good).unwrap();
    // The host accepts and refuses the same inputs.
    let reply: Summary = within(test.mesh.call("nlp.summarizer", good))
        .await
        .unwrap();
    assert_eq!(reply.words, 2);
    let refused = within(test.mesh.call::<Value>("nlp.summarizer", bad)).await;
    refused.unwrap_err();

    // An agent without input accepts any input.
    let noon = test.mesh.contract("noon").await.unwrap();
    noon.validate("anything").unwrap();
}
