//! What each keyword refuses, where, and in which words.

use serde_json::{Value, json};

use super::{Problem, Validator};

fn problems(schema: &Value, value: &Value) -> Vec<Problem> {
    Validator::new(schema).unwrap().problems(value)
}

/// What of `schema` each value violates, as `location rule`.
fn assert_violations(schema: &Value, cases: &[(Value, &[&str])]) {
    for (value, expected) in cases {
        let found: Vec<String> = problems(schema, value)
            .iter()
            .map(|problem| format!("{} {}", problem.location, problem.rule))
            .collect();
        assert_eq!(&found, expected, "{value} against {schema}");
    }
}

#[test]
fn types_and_values() {
    assert_violations(
        &json!({"type": "integer"}),
        &[
            (json!(1.0), &[]),
            (json!(1.5), &[" type"]),
            (json!("1"), &[" type"]),
        ],
    );
    assert_violations(
        &json!({"type": ["string", "null"]}),
        &[(json!(null), &[]), (json!(false), &[" type"])],
    );
    assert_violations(
        &json!({"enum": ["a", 1]}),
        &[(json!(1.0), &[]), (json!("b"), &[" enum"])],
    );
    assert_violations(
        &json!({"const": {"a": [1]}}),
        &[(json!({"a": [1.0]}), &[]), (json!({"a": []}), &[" const"])],
    );
    assert_violations(&json!(false), &[(json!(1), &[" falseSchema"])]);
    assert_violations(&json!(true), &[(json!(1), &[])]);
}

#[test]
fn numbers_and_texts() {
    assert_violations(
        &json!({"minimum": 1, "exclusiveMaximum": 3, "multipleOf": 0.5}),
        &[
            (json!(1), &[]),
            (json!(3), &[" exclusiveMaximum"]),
            (json!(0.7), &[" minimum", " multipleOf"]),
            (json!("none of its business"), &[]),
        ],
    );
    assert_violations(
        &json!({"minLength": 2, "maxLength": 3, "pattern": "^[a-zü]"}),
        &[
            (json!("über"), &[" maxLength"]),
            (json!("ü"), &[" minLength"]),
            (json!("Aa"), &[" pattern"]),
            (json!(1), &[]),
        ],
    );
}

#[test]
fn properties() {
    let schema = json!({
        "properties": {"a": {"type": "integer"}, "b~/": false},
        "patternProperties": {"^x-": {"type": "string"}},
        "additionalProperties": {"type": "boolean"},
        "required": ["a"],
        "dependentRequired": {"a": ["c"]},
        "propertyNames": {"maxLength": 4},
        "minProperties": 1,
        "maxProperties": 3,
    });
    assert_violations(
        &schema,
        &[
            (json!({"a": 1, "c": true, "x-y": "z"}), &[]),
            (json!({}), &["/a required", " minProperties"]),
            (json!({"a": "1", "c": 1}), &["/a type", "/c type"]),
            (json!({"a": 1}), &["/c dependentRequired"]),
            (json!({"a": 1, "c": true, "x-y": 1}), &["/x-y type"]),
            (
                json!({"a": 1, "c": true, "b~/": 1}),
                &["/b~0~1 falseSchema"],
            ),
            (
                json!({"a": 1, "c": true, "longer": true}),
                &[" propertyNames"],
            ),
        ],
    );
}

#[test]
fn items() {
    assert_violations(
        &json!({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "uniqueItems": true}),
        &[
            (json!(["a", 1, 2]), &[]),
            (json!([1, "a"]), &["/0 type", "/1 type"]),
            (json!(["a", 1, 1.0]), &[" uniqueItems"]),
        ],
    );
    assert_violations(
        &json!({"prefixItems": [true], "items": false, "minItems": 1}),
        &[(json!([1, 2]), &["/1 items"]), (json!([]), &[" minItems"])],
    );
    assert_violations(
        &json!({"contains": {"type": "null"}, "minContains": 2, "maxContains": 2}),
        &[
            (json!([null, 1, null]), &[]),
            (json!([null]), &[" minContains"]),
            (json!([null, null, null]), &[" maxContains"]),
        ],
    );
}

#[test]
fn schemas_of_schemas() {
    let (integer, small) = (json!({"type": "integer"}), json!({"maximum": 2}));
    assert_violations(
        &json!({"allOf": [integer, small]}),
        &[(json!(3.5), &[" type", " maximum"]), (json!(1), &[])],
    );
    assert_violations(
        &json!({"oneOf": [integer, small]}),
        &[
            (json!(1), &[" oneOf"]),
            (json!(3), &[]),
            (json!(3.5), &[" maximum"]),
        ],
    );
    assert_violations(
        &json!({"not": integer}),
        &[(json!(1), &[" not"]), (json!("a"), &[])],
    );
    assert_violations(
        &json!({"if": integer, "then": small, "else": {"type": "string"}}),
        &[
            (json!(3), &[" maximum"]),
            (json!(null), &[" type"]),
            (json!("a"), &[]),
        ],
    );
    assert_violations(
        &json!({"dependentSchemas": {"a": {"required": ["b"]}}}),
        &[(json!({"a": 1}), &["/b required"]), (json!({}), &[])],
    );
}

#[test]
fn an_alternative_that_alone_may_be_meant_tells_what_is_wrong() {
    let schema = json!({
        "properties": {"inner": {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}]}},
        "$defs": {"Inner": {"type": "object", "properties": {"n": {"maximum": 1}}}},
    });
    assert_violations(
        &schema,
        &[
            (json!({"inner": {"n": 2}}), &["/inner/n maximum"]),
            (json!({"inner": "n"}), &["/inner anyOf"]),
            (json!({"inner": null}), &[]),
        ],
    );
}

#[test]
fn references() {
    let tree = json!({
        "$id": "https://example.com/tree",
        "properties": {
            "left": {"$ref": "#"},
            "value": {"$ref": "#/$defs/a~1b%25"},
            "name": {"$ref": "#name"},
            "other": {"$ref": "other#/$defs/flag"},
        },
        "$defs": {
            "a/b%": {"type": "integer"},
            "name": {"$anchor": "name", "type": "string"},
            "other": {"$id": "other", "$defs": {"flag": {"type": "boolean"}}},
        },
    });
    assert_violations(
        &tree,
        &[
            (
                json!({"left": {"left": {"value": "x"}}}),
                &["/left/left/value type"],
            ),
            (
                json!({"name": 1, "other": 1}),
                &["/name type", "/other type"],
            ),
        ],
    );
}

#[test]
fn what_nobody_has_looked_at() {
    let schema = json!({
        "allOf": [{"properties": {"a": true}}],
        "anyOf": [{"required": ["b"], "properties": {"b": true}}, true],
        "unevaluatedProperties": false,
    });
    assert_violations(
        &schema,
        &[
            (json!({"a": 1, "b": 1}), &[]),
            (json!({"c": 1}), &[" unevaluatedProperties"]),
        ],
    );
    assert_violations(
        &json!({"prefixItems": [true], "contains": {"type": "null"}, "unevaluatedItems": {"type": "string"}}),
        &[
            (json!([1, null, "a"]), &[]),
            (json!([1, null, 2]), &["/2 type"]),
        ],
    );
}

#[test]
fn what_earlier_drafts_wrote() {
    assert_violations(
        &json!({"items": [{"type": "string"}], "additionalItems": false}),
        &[(json!(["a", 1]), &["/1 items"]), (json!([1]), &["/0 type"])],
    );
    assert_violations(
        &json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}),
        &[(
            json!({"a": 1, "c": 1}),
            &["/b dependentRequired", "/d required"],
        )],
    );
    assert_violations(
        &json!({"$ref": "#/definitions/N", "definitions": {"N": {"$id": "#n", "type": "null"}}}),
        &[(json!(1), &[" type"])],
    );
}

#[test]
fn messages() {
    let cases = [
        (
            json!({"type": "string"}),
            json!(1),
            r#"1 is not of type "string""#,
        ),
        (
            json!({"type": ["null", "integer"]}),
            json!("a"),
            r#""a" is not of types "integer", "null""#,
        ),
        (
            json!({"enum": ["a", "b", 3]}),
            json!("c"),
            r#""c" is not one of "a", "b" or 3"#,
        ),
        (json!({"const": 1}), json!(2), "1 was expected"),
        (
            json!({"minLength": 1}),
            json!(""),
            r#""" is shorter than 1 character"#,
        ),
        (
            json!({"minItems": 2}),
            json!([]),
            "[] has less than 2 items",
        ),
        (
            json!({"maximum": 10}),
            json!(11),
            "11 is greater than the maximum of 10",
        ),
        (
            json!({"required": ["a"]}),
            json!({}),
            r#""a" is a required property"#,
        ),
        (
            json!({"pattern": "^a"}),
            json!("b"),
            r#""b" does not match "^a""#,
        ),
        (
            json!({"additionalProperties": false}),
            json!({"a": 1, "b": 2}),
            "Additional properties are not allowed ('a', 'b' were unexpected)",
        ),
    ];
    for (schema, value, message) in cases {
        assert_eq!(problems(&schema, &value)[0].message, message);
    }
    let long = json!("é".repeat(1000));
    let message = &problems(&json!({"type": "null"}), &long)[0].message;
    assert!(message.len() < 300 && message.contains('…'), "{message}");
}

#[test]
fn what_is_no_schema_is_told_with_its_place() {
    let reason = |schema: Value| Validator::new(&schema).err().unwrap();
    assert_eq!(reason(json!(1)), "1 is not a schema");
    assert_eq!(
        reason(json!({"properties": {"a": {"minLength": -1}}})),
        "at /properties/a/minLength, -1 is not a whole number of 0 or more"
    );
    assert_eq!(
        reason(json!({"pattern": "("})),
        r#"at /pattern, "(" is not a pattern: unclosed group"#
    );
    assert_eq!(
        reason(json!({"$ref": "https://example.com/other"})),
        r#"at /$ref, "https://example.com/other" refers to nothing in this schema"#
    );
    let circle = json!({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}});
    assert_eq!(reason(circle), "it refers to itself in a circle");
}

#[test]
fn nothing_exhausts_the_stack() {
    let deep =
        |inner: Value, wrap: fn(Value) -> Value| (0..2000).fold(inner, |inner, _| wrap(inner));
    let list = deep(json!(1), |inner| Value::Array(vec![inner]));
    let schema = json!({"type": "array", "items": {"$ref": "#"}});
    assert_violations_end_with(&schema, &list, "it is nested too deep to be checked");
    // Dropping what is nested this deep must not be recursive here either.
    std::mem::forget(list);
}

fn assert_violations_end_with(schema: &Value, value: &Value, message: &str) {
    let problems = problems(schema, value);
    assert_eq!(problems.last().unwrap().message, message);
}
