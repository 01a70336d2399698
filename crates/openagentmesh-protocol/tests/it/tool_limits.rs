//! Schemas beyond the limits of providers, malformed ones, and those that are costly to convert.

use openagentmesh_protocol::tool::{OpenAiApi, ToolError};
use serde_json::{Value, json};

use crate::tool_forms::{agent, not_strict};

#[test]
fn limits_of_strict_schemas_are_errors() {
    let mut deep = json!({"type": "string"});
    for _ in 0..11 {
        deep = json!({"type": "object", "properties": {"a": deep}, "required": ["a"]});
    }
    let names = |count: usize| (0..count).map(|index| format!("{index:060}"));
    let wide: serde_json::Map<_, _> = names(5_001)
        .map(|name| (name, json!({"type": "null"})))
        .collect();
    for (input, expected) in [
        (deep, "nests objects more than 10 levels"),
        (
            json!({"type": "object", "properties": wide}),
            "more than 5000 properties",
        ),
        (
            json!({"type": "string", "enum": names(251).collect::<Vec<_>>()}),
            "15000 characters",
        ),
        (
            json!({"type": "integer", "enum": (0..1_001).collect::<Vec<_>>()}),
            "1000 values",
        ),
    ] {
        let found = not_strict(input);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn malformed_schema_is_an_error() {
    for (input, location) in [
        (json!(7), "the input itself"),
        (json!({"type": "any"}), "/type"),
        (json!({"type": "object", "properties": []}), "/properties"),
        (json!({"anyOf": []}), "/anyOf"),
        (
            json!({"properties": {"a": {"items": 3}}}),
            "/properties/a/items",
        ),
        (
            json!({"properties": {"a/b": {"$ref": "other.json#/A"}}}),
            "/properties/a~1b",
        ),
        (json!({"$ref": "#/$defs/Missing"}), "the input itself"),
        (
            json!({"anyOf": [{"$ref": "#"}, {"type": "string"}]}),
            "the input itself",
        ),
        (
            json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}},
                "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}),
            "/$defs/A",
        ),
    ] {
        match agent(input.clone()).tool() {
            Err(ToolError::InvalidSchema {
                location: found, ..
            }) => {
                assert_eq!(found, location, "{input}");
            }
            other => panic!("{input}: {:?}", other.err()),
        }
    }
}

#[test]
fn hostile_schema_is_an_error_within_its_limits() {
    // Each definition is two copies of the next, 40 deep.
    let doubling = |keyword: &str| {
        let mut definitions = serde_json::Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            let other = json!({"$ref": format!("#/$defs/{}", level + 1), "description": "x"});
            definitions.insert(level.to_string(), json!({ keyword: [next, other] }));
        }
        definitions.insert("40".into(), json!({"type": "string"}));
        json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/0"}}, "$defs": definitions})
    };
    for keyword in ["oneOf", "allOf"] {
        let contract = agent(doubling(keyword));
        let error = contract.to_openai_tool(OpenAiApi::Chat, true);
        assert!(
            matches!(error, Err(ToolError::NotStrict { .. })),
            "{error:?}"
        );
        let _ = contract.tool_payload(json!({"a": {"b": null}}));
    }
    let mut deep = json!({"type": "string"});
    for _ in 0..200 {
        deep = json!({"type": "array", "items": deep});
    }
    assert!(matches!(
        agent(deep).tool(),
        Err(ToolError::InvalidSchema { .. })
    ));
    let many =
        |count: usize, schema: &dyn Fn(usize) -> Value| (0..count).map(schema).collect::<Vec<_>>();
    let object = |name: String| {
        let property = json!({"type": "object", "properties": {"b": {"type": "null"}}});
        json!({"type": "object", "properties": {&name: property}, "required": [&name]})
    };
    for schema in [
        json!({"anyOf": many(30_000, &|_| json!({}))}),
        json!({"enum": many(500_000, &|index| json!(index))}),
        json!({"type": "object", "required": many(500_000, &|index| json!(index.to_string()))}),
        object("x".repeat(1_000_000)),
    ] {
        let tool = agent(schema).tool();
        assert!(matches!(tool, Err(ToolError::InvalidSchema { .. })));
    }
    for schema in [
        json!({"oneOf": many(1_200, &|index| object(index.to_string()))}),
        json!({"oneOf": many(9_000, &|index| json!({"const": index}))}),
        json!({"anyOf": many(9, &|_| json!({"enum": many(2_000, &|index| json!(index))}))}),
    ] {
        let contract = agent(schema);
        let error = contract.to_openai_tool(OpenAiApi::Chat, true);
        assert!(
            matches!(error, Err(ToolError::NotStrict { .. })),
            "{error:?}"
        );
        let arguments = json!({"input": {"1": {"b": null}}});
        let _ = contract.tool_payload(arguments);
    }
}
