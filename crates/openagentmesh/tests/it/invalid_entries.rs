//! Catalog entries that any peer can write, and that are not those of agents.

use openagentmesh::{Agent, AgentSpec, CatalogEntry};
use serde_json::{Value, json};

use crate::support::{TestMesh, echo, eventually, within};

fn counter() -> Agent {
    AgentSpec::new("counter", "Counts.").handler(|to: u32| async move { to })
}

#[tokio::test]
async fn entry_with_an_invalid_name_is_kept_and_not_listed() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let store = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let invalid = [
        json!({"name": "ec\u{202e}ho", "description": "hostile"}),
        json!({"name": "echo\nsecond", "description": "hostile"}),
        json!({"name": "", "description": "hostile"}),
        json!({"name": "x", "channel": "a b", "description": "hostile"}),
        json!({"name": "a..b"}),
        json!({"name": 7}),
        json!("echo"),
    ];
    let valid = json!({"name": "second", "description": "one"});
    let mut entries = invalid.to_vec();
    entries.push(valid);
    let text = serde_json::to_string(&entries).unwrap();
    store.put("catalog", text.clone().into()).await.unwrap();

    let peer = test.peer().await;
    for fresh in [false, true] {
        let query = || {
            let query = peer.catalog();
            if fresh { query.fresh() } else { query }
        };
        let listed = eventually(|| async {
            let listed = query().await.unwrap();
            let has_valid = listed.iter().any(|entry| entry.name == "second");
            has_valid.then_some(listed)
        });
        let listed = listed.await;
        let is_valid = |entry: &CatalogEntry| matches!(&*entry.name, "echo" | "second");
        assert!(listed.iter().all(is_valid), "{listed:?}");
        assert_eq!(query().count_invalid().await.unwrap(), invalid.len());
    }
    let mut changes = peer.catalog().watch();
    let change = within(changes.next()).await.unwrap();
    assert!(
        !change.entry().description.contains("hostile"),
        "{change:?}"
    );

    // A write keeps the entries: another version may understand them.
    peer.register(counter()).await.unwrap();
    let stored = store.get("catalog").await.unwrap().unwrap();
    let stored: Vec<Value> = serde_json::from_slice(&stored).unwrap();
    for entry in &invalid {
        assert!(stored.contains(entry), "{entry}");
    }
}
