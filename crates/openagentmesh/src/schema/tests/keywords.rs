//! The violations that each keyword finds, with their locations and messages.

use serde_json::{Value, json};

use crate::schema::problem::Problem;
use crate::schema::validator::Validator;

pub(super) fn problems(schema: &Value, value: &Value) -> Vec<Problem> {
    Validator::new(schema).unwrap().problems(value).listed
}

/// Asserts the violations of `schema` by each value, as `location rule`.
pub(super) fn assert_violations(schema: &Value, cases: &[(Value, &[&str])]) {
    for (value, expected) in cases {
        let mut found: Vec<String> = problems(schema, value)
            .iter()
            .map(|problem| format!("{} {}", problem.location, problem.rule))
            .collect();
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{value} against {schema}");
    }
}

#[test]
fn types_and_constants_are_checked() {
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
fn numbers_and_texts_are_checked() {
    assert_violations(
        &json!({"minimum": 1, "exclusiveMaximum": 3, "multipleOf": 0.5}),
        &[
            (json!(1), &[]),
            (json!(3), &[" exclusiveMaximum"]),
            (json!(0.7), &[" minimum", " multipleOf"]),
            (json!("not a number"), &[]),
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
fn object_that_breaks_a_keyword_is_listed_with_it() {
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
fn array_that_breaks_a_keyword_is_listed_with_it() {
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
fn combined_schemas_are_checked() {
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
fn only_alternative_for_the_type_lists_its_own_problems() {
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
fn value_under_a_reference_is_checked_by_its_target() {
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
fn relative_id_with_a_path_is_resolved_once() {
    let part = json!({"$id": "parts/n", "$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"});
    assert_violations(
        &json!({"$id": "https://example.com/root", "$ref": "parts/n", "$defs": {"n": part}}),
        &[(json!("a"), &[" type"]), (json!(1), &[])],
    );
}

#[test]
fn unevaluated_parts_are_checked() {
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
            (json!([1, null, 2]), &[" unevaluatedItems"]),
        ],
    );
}

#[test]
fn keywords_of_draft_7_are_checked() {
    assert_violations(
        &json!({"items": [{"type": "string"}], "additionalItems": false}),
        &[
            (json!(["a", 1]), &[" additionalItems"]),
            (json!([1]), &["/0 type"]),
        ],
    );
    assert_violations(
        &json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}),
        &[(json!({"a": 1, "c": 1}), &["/b required", "/d required"])],
    );
    assert_violations(
        &json!({"$ref": "#/definitions/N", "definitions": {"N": {"$id": "#n", "type": "null"}}}),
        &[(json!(1), &[" type"])],
    );
}

#[test]
fn property_named_like_a_keyword_of_draft_7_leaves_the_draft() {
    assert_violations(
        &json!({
            "properties": {"dependencies": {"type": "object"}, "n": {"$ref": "#/$defs/N", "maximum": 1}},
            "$defs": {"N": {"type": "integer"}},
        }),
        &[(json!({"n": 2}), &["/n maximum"])],
    );
}

#[test]
fn messages_name_value_and_limit() {
    let cases = [
        (
            json!({"type": "string"}),
            json!(1),
            r#"1 is not of type "string""#,
        ),
        (
            json!({"type": ["null", "integer"]}),
            json!("a"),
            r#""a" is not of types "null", "integer""#,
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
            "Additional properties are not allowed (1 was unexpected)",
        ),
        (
            json!({"properties": {"c": true}, "additionalProperties": false}),
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
fn invalid_schema_is_refused_with_its_place() {
    let reason = |schema: Value| Validator::new(&schema).err().unwrap();
    assert_eq!(
        reason(json!(1)),
        "1 is not of types \"boolean\", \"object\""
    );
    assert_eq!(
        reason(json!({"properties": {"a": {"minLength": -1}}})),
        "/properties/a/minLength: -1 is less than the minimum of 0"
    );
    assert_eq!(
        reason(json!({"pattern": "("})),
        "/pattern: invalid pattern '(': unclosed group"
    );
    assert_eq!(
        reason(json!({"$ref": "https://example.com/other"})),
        "invalid reference: Resource 'https://example.com/other' is not present in a registry and \
         retrieving it failed: a schema may refer only to its own parts"
    );
    let circle = json!({"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}});
    assert_eq!(
        reason(circle),
        "circular reference: the schema applies itself to the same value"
    );
}

#[test]
fn reason_of_a_refused_schema_is_short_however_long_the_schema_is() {
    let long = "ab".repeat(5_000);
    let nested = (0..500).fold(
        json!({"minLength": -1}),
        |inner, _| json!({"properties": {"property": inner}}),
    );
    for schema in [
        json!({"$schema": format!("http://example.com/%{long}%")}),
        json!({"$ref": format!("https://example.com/{long}")}),
        json!({"$ref": format!("#/$defs/{long}")}),
        json!({"pattern": format!("({long}")}),
        json!({"properties": {&long: {"minLength": -1}}}),
        json!({ "type": long }),
        nested,
    ] {
        let reason = Validator::new(&schema).err().unwrap();
        assert!(reason.chars().count() <= 1_301, "{reason}");
    }
}

#[test]
fn value_nested_too_deep_is_refused() {
    let list = (0..3000).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    let schema = json!({"type": "array", "items": {"$ref": "#"}});
    let problems = problems(&schema, &list);
    assert_eq!(
        problems.last().unwrap().message,
        "validation budget exceeded: the value is nested too deep"
    );
    // Dropping a value that is nested this deep would exhaust the stack.
    std::mem::forget(list);
}

#[test]
fn value_nested_100_deep_is_checked() {
    let schema = json!({"anyOf": [
        {"type": "array", "items": {"$ref": "#"}},
        {"type": "integer"},
    ]});
    let nested = |inner: Value| (0..100).fold(inner, |inner, _| Value::Array(vec![inner]));
    assert_eq!(problems(&schema, &nested(json!(1))), []);
    assert_eq!(problems(&schema, &nested(json!("a"))).len(), 1);
}

#[test]
fn deepest_value_fits_into_a_small_stack() {
    let deepest = std::thread::Builder::new().stack_size(1024 * 1024);
    let check = || {
        let schema = json!({
            "patternProperties": {"^a$": {"$ref": "#"}},
            "properties": {"n": {"type": "integer"}},
            "unevaluatedProperties": false,
        });
        let nested = |depth, inner: Value| {
            (0..depth).fold(inner, |inner, _| {
                Value::Object(serde_json::Map::from_iter([("a".to_owned(), inner)]))
            })
        };
        let wrong = nested(450, json!({"n": "x"}));
        assert_eq!(problems(&schema, &wrong)[0].rule, "type");
        // Below the depth from which the library gets a stack of its own.
        let wrong = nested(14, json!({"n": "x"}));
        assert_eq!(problems(&schema, &wrong)[0].rule, "type");
    };
    deepest.spawn(check).unwrap().join().unwrap();
}

#[test]
fn problems_beyond_the_limit_are_counted() {
    let validator = Validator::new(&json!({"items": {"type": "integer"}})).unwrap();
    let problems = validator.problems(&json!(vec!["a"; 250]));
    assert_eq!((problems.listed.len(), problems.omitted), (20, 230));
}

#[test]
fn first_problem_of_a_large_value_is_listed() {
    let validator = Validator::new(&json!({"items": {"type": "integer"}})).unwrap();
    let mut items = vec![json!(1); 300_000];
    items[7] = json!("a");
    let problems = validator.problems(&Value::Array(items));
    assert_eq!(problems.listed[0].location, "/7");
    assert_eq!(problems.listed[1].rule, "limit");
}
