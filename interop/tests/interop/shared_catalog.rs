//! One catalog with several kinds of writers: each keeps the entries of the others.

use interop::Sdk;
use openagentmesh::agents;
use serde_json::json;

use crate::common::{TestMesh, python_lists};
use crate::rust_agents::{echo, noon, summarize};

/// An entry of a later version or of another SDK: unknown fields, numbers that a parser may change,
/// spaces, escapes.
const FOREIGN: &str = r#"{"name":  "theirs", "description":"\u00e4\/", "version":"2",
 "tags":[ ],"invocable":true,"streaming":false,"cost":1.50,"big":123456789012345678901234567890,
 "lease":{"until":1e3 , "by":["a", null]}}"#;

interop::with_each_sdk!(
    rust_host_keeps_the_entries_of_python_hosts,
    entries_with_unknown_fields_are_kept_and_read_by_all,
);

fn texts(entries: &[Box<serde_json::value::RawValue>]) -> Vec<&str> {
    entries.iter().map(|entry| entry.get()).collect()
}

async fn rust_host_keeps_the_entries_of_python_hosts(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = test.python_host(sdk, &["nlp.summarizer", "ticker"]).await;
    let before = test.catalog_text().await;
    assert_eq!(before.len(), 2);
    let spells_channel_apart = before[0].get().contains(r#""channel": "nlp""#);
    assert_eq!(
        spells_channel_apart,
        !sdk.has_dotted_names(),
        "{}",
        before[0]
    );

    test.mesh.register(agents![echo, noon]).await.unwrap();
    let during = test.catalog_text().await;
    assert_eq!(texts(&during[..2]), texts(&before));
    assert_eq!(during.len(), 4);
    python_lists(&mut python, &["echo", "noon"]).await;

    test.mesh.deregister(["echo"]).await.unwrap();
    test.mesh.shutdown().await.unwrap();
    assert_eq!(texts(&test.catalog_text().await), texts(&before));
}

async fn entries_with_unknown_fields_are_kept_and_read_by_all(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![echo]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let arguments = json!({"text": FOREIGN, "url": test.server.url()});
    python.ask("write_entry", arguments).await.unwrap();

    let find = async |text: &str| {
        let entries = test.catalog_text().await;
        entries.iter().any(|entry| entry.get() == text)
    };
    assert!(find(FOREIGN).await);
    test.mesh.register(agents![noon, summarize]).await.unwrap();
    assert!(find(FOREIGN).await, "the registration keeps the entry");
    test.mesh.deregister(["echo", "noon"]).await.unwrap();
    assert!(find(FOREIGN).await, "the deregistration keeps the entry");

    let catalog = python_lists(&mut python, &["theirs", "nlp.summarizer"]).await;
    assert_eq!(catalog.len(), 2);
    assert_eq!(test.catalog_names().await, ["nlp.summarizer", "theirs"]);

    // A write of Python keeps the entry too.
    python
        .ask("host", json!({"names": ["translate"]}))
        .await
        .unwrap();
    let catalog = test.mesh.catalog().fresh().await.unwrap();
    let theirs = catalog.iter().find(|entry| entry.name == "theirs").unwrap();
    assert_eq!(
        theirs.extra["lease"],
        json!({"until": 1e3, "by": ["a", null]})
    );
    assert_eq!(theirs.extra["cost"], json!(1.5));
    assert_eq!(catalog.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_entries_are_kept() {
    let test = TestMesh::start().await;
    test.mesh.register(agents![echo]).await.unwrap();
    // This peer only writes the key: the published SDKs cannot read a catalog with invalid entries.
    let mut python = crate::common::python_process(Sdk::V0_2_0).await;
    let strange = ["\"a text\"", "[1.0, 2]", r#"{"nameless": true}"#, "null"];
    for text in strange {
        let arguments = json!({"text": text, "url": test.server.url()});
        python.ask("write_entry", arguments).await.unwrap();
    }
    test.mesh.register(agents![noon]).await.unwrap();
    test.mesh.deregister(["echo", "noon"]).await.unwrap();
    assert_eq!(texts(&test.catalog_text().await), strange);
    assert!(test.mesh.catalog().fresh().await.unwrap().is_empty());
}
