//! The way back: from the arguments of a tool call to the input of the agent.

use serde_json::{Value, json};

use openagentmesh_protocol::Contract;
use openagentmesh_protocol::tool::ToolError;

use crate::tool_forms::agent;

fn payload(schema: Value, arguments: Value) -> Value {
    agent(schema).tool_payload(arguments)
}

#[test]
fn null_of_optional_property_is_dropped_where_null_is_not_allowed() {
    let schema = json!({
        "type": "object",
        "properties": {
            "country": {"type": "string"},
            "express": {"type": "boolean"},
            "note": {"type": ["string", "null"]},
            "any": {},
        },
        "required": ["country"],
    });
    let arguments = json!({"country": null, "express": null, "note": null, "any": null});
    let expected = json!({"country": null, "note": null, "any": null});
    assert_eq!(payload(schema, arguments), expected);
    let default =
        json!({"type": "object", "properties": {"limit": {"type": "integer", "default": 10}}});
    assert_eq!(payload(default, json!({"limit": null})), json!({}));
}

#[test]
fn null_is_dropped_at_every_depth() {
    let inner = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/Flag"}}});
    let schema = |place: Value| {
        json!({"type": "object", "properties": {"place": place},
            "$defs": {"Flag": {"type": "boolean"}, "Inner": inner}})
    };
    let reference = json!({"$ref": "#/$defs/Inner"});
    let object = json!({"a": null});
    for (place, value, expected) in [
        (reference.clone(), object.clone(), json!({})),
        (
            json!({"type": "array", "items": reference}),
            json!([object, {"a": true}]),
            json!([{}, {"a": true}]),
        ),
        (
            json!({"prefixItems": [reference], "type": "array"}),
            json!([object]),
            json!([{}]),
        ),
        (
            json!({"anyOf": [reference, {"type": "null"}]}),
            object.clone(),
            json!({}),
        ),
        (json!({"allOf": [reference]}), object.clone(), json!({})),
        (
            json!({"type": "object", "additionalProperties": reference}),
            json!({"x": object}),
            json!({"x": {}}),
        ),
        (
            json!({"oneOf": [
                {"type": "object", "properties": {"Left": reference}, "required": ["Left"]},
                {"type": "object", "properties": {"Right": {"type": "null"}}, "required": ["Right"]},
            ]}),
            json!({"Left": object}),
            json!({"Left": {}}),
        ),
    ] {
        let dropped = payload(schema(place.clone()), json!({"place": value}));
        assert_eq!(dropped, json!({"place": expected}), "{place}");
    }
}

#[test]
fn null_is_dropped_by_the_variant_to_which_the_value_belongs() {
    let variant = |kind: &str, note: Value| {
        json!({"type": "object", "required": ["kind"],
            "properties": {"kind": {"const": kind}, "note": note, "size": {"type": "integer"}}})
    };
    let schema = json!({"anyOf": [
        variant("a", json!({"type": "string"})),
        variant("b", json!({"type": ["string", "null"]})),
    ]});
    let arguments = |kind: &str| json!({"input": {"kind": kind, "note": null, "size": null}});
    assert_eq!(
        payload(schema.clone(), arguments("a")),
        json!({"kind": "a"})
    );
    assert_eq!(
        payload(schema.clone(), arguments("b")),
        json!({"kind": "b", "note": null})
    );
    // A value with another problem still belongs to the variant that it resembles.
    let wrong = json!({"input": {"kind": "a", "note": null, "size": "large"}});
    assert_eq!(
        payload(schema, wrong),
        json!({"kind": "a", "size": "large"})
    );
}

#[test]
fn arguments_are_unwrapped_by_the_rule_of_the_form() {
    let number = json!({"type": "integer"});
    assert_eq!(payload(number.clone(), json!({"input": 5})), json!(5));
    assert_eq!(payload(number.clone(), json!(5)), json!(5));
    assert_eq!(payload(number, json!({})), json!(null));
    let object = json!({"type": "object", "properties": {"input": {"type": "integer"}}});
    assert_eq!(
        payload(object.clone(), json!({"input": 5})),
        json!({"input": 5})
    );
    assert_eq!(payload(object, json!(null)), json!({}));
    let union = json!({"oneOf": [{"type": "object", "properties": {"A": {}}, "required": ["A"]}]});
    assert_eq!(
        payload(union.clone(), json!({"input": {"A": 1}})),
        json!({"A": 1})
    );
    assert_eq!(payload(union, json!({"A": 1})), json!({"A": 1}));
}

#[test]
fn text_is_read_as_models_write_it() {
    let trigger: Contract = serde_json::from_str(r#"{"name": "trigger"}"#).unwrap();
    for text in [
        "",
        " \n",
        "null",
        "{}",
        "\u{feff}{}",
        "```json\n{}\n```",
        "\"{}\"",
        "{\"a\": 1}",
    ] {
        assert_eq!(trigger.tool_input(text).unwrap(), Value::Null, "{text:?}");
    }
    let object = agent(json!({"type": "object", "properties": {"a": {"type": "integer"}}}));
    for (text, input) in [
        ("", json!({})),
        ("null", json!({})),
        ("{\"a\": 1}", json!({"a": 1})),
        ("```json\n{\"a\": 1}\n```", json!({"a": 1})),
        ("```\n{\"a\": 1}```", json!({"a": 1})),
        (r#""{\"a\": 1}""#, json!({"a": 1})),
        ("{\"a\": null}", json!({})),
        ("{\"a\": 18446744073709551615}", json!({"a": u64::MAX})),
        ("{\"a\": -1.5e300}", json!({"a": -1.5e300})),
    ] {
        assert_eq!(object.tool_input(text).unwrap(), input, "{text:?}");
    }
    let text = agent(json!({"type": "string"}));
    assert_eq!(text.tool_input(r#"{"input": "{}"}"#).unwrap(), json!("{}"));
}

#[test]
fn text_that_is_not_json_or_loses_digits_is_an_error() {
    let object = agent(json!({"type": "object", "properties": {"a": {"type": "integer"}}}));
    for (text, fragment) in [
        ("{\"a\": 1", "not JSON"),
        ("five", "write one JSON object"),
        (
            "{\"a\": \"\\\"\", \"b\": 340282366920938463463374607431768211455}",
            "3402823669",
        ),
        ("[-9223372036854775809]", "-9223372036854775809"),
    ] {
        let error = object.tool_input(text).unwrap_err();
        assert!(matches!(error, ToolError::InvalidArguments { .. }));
        assert!(error.to_string().contains(fragment), "{error}");
    }
}
