//! The records of instances, which any process may have written.

use openagentmesh_protocol::{InstanceRecord, MAX_INSTANCE_AGENTS};
use serde_json::json;

#[test]
fn invalid_names_do_not_hide_the_others() {
    let record: InstanceRecord =
        serde_json::from_value(json!({"agents": ["a", 1, null, "b c", ["d"], {"e": "f"}, "g.h"]}))
            .unwrap();
    let names: Vec<&str> = record.agents.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["a", "g.h"]);
    for none in [json!({}), json!({"agents": null}), json!({"agents": []})] {
        let record: InstanceRecord = serde_json::from_value(none).unwrap();
        assert!(record.agents.is_empty());
    }
    let malformed = json!({"agents": "a"});
    assert!(serde_json::from_value::<InstanceRecord>(malformed).is_err());
}

#[test]
fn names_beyond_the_limit_are_left_out() {
    let names: Vec<String> = (0..MAX_INSTANCE_AGENTS + 10)
        .map(|number| format!("agent-{number}"))
        .collect();
    let text = json!({"agents": names, "lease_ms": 5}).to_string();
    let record: InstanceRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(record.agents.len(), MAX_INSTANCE_AGENTS);
    assert_eq!(record.lease_ms, Some(5), "the rest of the record is read");
}
