//! A caller in Rust, agents in Python: finding them, reading their contracts, calling them.

use interop::{Sdk, schema::meaning};
use openagentmesh::{CatalogFilter, ErrorCode, Shape};
use serde_json::{Value, json};

use crate::common::{TestMesh, within};
use crate::rust_agents::{Origin, Summarize, Summary, Tone, summarize};

interop::with_each_sdk!(
    catalog_lists_python_agents_with_all_fields,
    contract_has_the_schemas_of_the_python_types,
    every_shape_has_its_capabilities,
    typed_and_untyped_calls_get_their_replies,
    python_failure_is_an_error_with_its_code,
    unserved_name_is_not_found_or_not_available,
);

async fn catalog_lists_python_agents_with_all_fields(sdk: Sdk) {
    let test = TestMesh::start().await;
    let names = ["nlp.summarizer", "echo", "nlp.pieces", "ticker"];
    let python = test.python_host(sdk, &names).await;

    let mut catalog = test.mesh.catalog().fresh().await.unwrap();
    catalog.sort_by(|one, other| one.name.cmp(&other.name));
    let entry = |name: &str, about: &str, version: &str, tags: Value, can: (bool, bool)| {
        json!({
            "name": name, "description": about, "version": version, "tags": tags,
            "invocable": can.0, "streaming": can.1,
        })
    };
    let tags = json!(["text", "summarization"]);
    assert_eq!(
        serde_json::to_value(&catalog).unwrap(),
        json!([
            entry(
                "echo",
                "Echoes a message back.",
                "0.1.0",
                json!([]),
                (true, false)
            ),
            entry(
                "nlp.pieces",
                "Takes a text apart.",
                "0.1.0",
                json!(["text"]),
                (true, true)
            ),
            entry(
                "nlp.summarizer",
                "Summarises a text.",
                "1.2.3",
                tags,
                (true, false)
            ),
            entry("ticker", "Ticks.", "0.1.0", json!([]), (false, true)),
        ])
    );
    let find = |filter: CatalogFilter| -> Vec<&str> {
        let found = catalog.iter().filter(|entry| filter.matches(entry));
        found.map(|entry| entry.name.as_str()).collect()
    };
    let all = CatalogFilter::default;
    assert_eq!(find(all().channel("nlp")), ["nlp.pieces", "nlp.summarizer"]);
    assert_eq!(find(all().tag("summarization")), ["nlp.summarizer"]);
    assert_eq!(find(all().streaming(true)), ["nlp.pieces", "ticker"]);
    assert_eq!(find(all().invocable(false)), ["ticker"]);

    python.end().await.unwrap();
    assert!(
        test.mesh.catalog().fresh().await.unwrap().is_empty(),
        "the host has deregistered"
    );
    let error = test.mesh.contract("nlp.summarizer").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
}

async fn contract_has_the_schemas_of_the_python_types(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test
        .python_host(sdk, &["nlp.summarizer", "nlp.pieces"])
        .await;
    let contract = test.mesh.contract("nlp.summarizer").await.unwrap();
    assert_eq!(contract.name.as_str(), "nlp.summarizer");
    assert_eq!(contract.name.channel(), Some("nlp"));
    assert_eq!(contract.description, "Summarises a text.");
    assert_eq!(contract.version, "1.2.3");
    assert_eq!(contract.tags, ["text", "summarization"]);
    assert!(contract.registered_at.is_some());
    assert_eq!(contract.chunk_schema, None);
    assert_eq!(contract.mcp, None);

    let mut schema = async |kind: &str| {
        let arguments = json!({"type": kind});
        Some(python.ask("schema", arguments).await.unwrap())
    };
    assert_eq!(contract.input_schema, schema("Summarize").await);
    assert_eq!(contract.output_schema, schema("Summary").await);
    let pieces = test.mesh.contract("nlp.pieces").await.unwrap();
    assert_eq!(pieces.name.as_str(), "nlp.pieces");
    assert_eq!(pieces.input_schema, schema("Text").await);
    assert_eq!(pieces.output_schema, None);
    assert_eq!(pieces.chunk_schema, schema("Piece").await);

    // The agents of the two languages are interchangeable.
    let ours = openagentmesh::agents![summarize];
    let ours = ours[0].contract().unwrap().into_document();
    assert_eq!(
        meaning(&ours.input_schema.unwrap()),
        meaning(&contract.input_schema.clone().unwrap())
    );
    assert_eq!(
        meaning(&ours.output_schema.unwrap()),
        meaning(&contract.output_schema.clone().unwrap())
    );
}

async fn every_shape_has_its_capabilities(sdk: Sdk) {
    let test = TestMesh::start().await;
    let shapes = [
        ("echo", Shape::Responder),
        ("nlp.pieces", Shape::Streamer),
        ("noon", Shape::Trigger),
        ("ticker", Shape::Publisher),
        ("sentry", Shape::Watcher),
    ];
    let _python = test.python_host(sdk, &shapes.map(|(name, _)| name)).await;
    for (name, shape) in shapes {
        let contract = test.mesh.contract(name).await.unwrap();
        assert_eq!(contract.capabilities, shape.capabilities(), "{name}");
        let streams = matches!(shape, Shape::Streamer | Shape::Publisher);
        let takes = matches!(shape, Shape::Responder | Shape::Streamer);
        let gives_one = matches!(shape, Shape::Responder | Shape::Trigger);
        assert_eq!(contract.chunk_schema.is_some(), streams, "{name}");
        assert_eq!(contract.input_schema.is_some(), takes, "{name}");
        assert_eq!(contract.output_schema.is_some(), gives_one, "{name}");
    }
    let catalog = test.mesh.catalog().fresh().await.unwrap();
    for (name, shape) in shapes {
        let entry = catalog.iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(entry.capabilities(), shape.capabilities(), "{name}");
    }
}

async fn typed_and_untyped_calls_get_their_replies(sdk: Sdk) {
    let test = TestMesh::start().await;
    let names = ["nlp.summarizer", "echo", "noon", "swallow"];
    let _python = test.python_host(sdk, &names).await;
    let mesh = &test.mesh;

    let input = Summarize {
        text: "one two three".to_owned(),
        max_words: Some(2),
        tones: vec![Tone::Formal, Tone::Friendly],
        origin: Origin {
            author: "Ada".to_owned(),
            year: Some(1999),
        },
    };
    let summary: Summary = mesh.call("nlp.summarizer", &input).await.unwrap();
    let expected = Summary {
        summary: "one two".to_owned(),
        words: 2,
    };
    assert_eq!(summary, expected);
    let input = json!({"text": "one", "tones": [], "origin": {"author": "Ada"}});
    let summary: Value = mesh.call("nlp.summarizer", input).await.unwrap();
    assert_eq!(summary, json!({"summary": "one", "words": 1}));

    let text: String = mesh.call("echo", "grüß dich 👋").await.unwrap();
    assert_eq!(text, "Echo: grüß dich 👋");
    assert_eq!(mesh.call::<String>("noon", ()).await.unwrap(), "12:00");
    mesh.call::<()>("swallow", [1, 2]).await.unwrap();
    assert_eq!(
        mesh.call::<Value>("swallow", [1, 2]).await.unwrap(),
        json!({})
    );
}

async fn python_failure_is_an_error_with_its_code(sdk: Sdk) {
    let test = TestMesh::start().await;
    let names = ["nlp.summarizer", "fragile", "nlp.pieces"];
    let _python = test.python_host(sdk, &names).await;
    let fails = async |name: &str, input: Value| {
        let call = test.mesh.call::<Value>(name, input);
        within(call).await.unwrap_err()
    };

    let error = fails("nlp.summarizer", json!({"text": ""})).await;
    assert_eq!(
        error.code(),
        &ErrorCode::HandlerError,
        "the code of the published SDKs"
    );
    assert!(
        error.message().contains("max_words") || error.message().contains("text"),
        "{error}"
    );
    assert_eq!(error.request_id().unwrap().len(), 32);

    let error = fails("fragile", json!("error")).await;
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "told to fail");
    assert_eq!(error.agent(), Some("fragile"));

    let error = fails("fragile", json!("mesh error")).await;
    assert_eq!(
        error.code().as_str(),
        "rate_limited",
        "an unknown code is kept"
    );
    assert_eq!(error.details()["seconds"], 5);

    let error = fails("nlp.pieces", json!("a b")).await;
    assert_eq!(error.code(), &ErrorCode::InvocationMismatch);

    let fine: String = test.mesh.call("fragile", "fine").await.unwrap();
    assert_eq!(fine, "fine");
}

async fn unserved_name_is_not_found_or_not_available(sdk: Sdk) {
    let test = TestMesh::start().await;
    let python = test.python_host(sdk, &["echo"]).await;
    let error = within(test.mesh.call::<Value>("nosuch", ()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);

    // A killed host leaves its catalog entry. The server may notice the lost connection later.
    python.kill().await.unwrap();
    let error = within(async {
        loop {
            let call = test.mesh.call::<Value>("echo", "x");
            match call.timeout(std::time::Duration::from_secs(1)).await {
                Err(error) if error.code() != &ErrorCode::Timeout => return error,
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(error.code(), &ErrorCode::NotAvailable);
}
