//! The keywords of JSON Schema that hold further schemas.

use serde_json::{Map, Value};

/// The children that a keyword holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Children {
    /// One schema.
    One,
    /// One schema, where `true` and `false` are common and understood by all readers.
    OneOrSwitch,
    /// A list of schemas.
    List,
    /// Schemas by name.
    Named,
}

/// The children of `keyword`; `None` if its value is data.
pub(super) fn children(keyword: &str) -> Option<Children> {
    Some(match keyword {
        "contains" | "contentSchema" | "else" | "if" | "items" | "not" | "propertyNames"
        | "then" => Children::One,
        "additionalItems"
        | "additionalProperties"
        | "unevaluatedItems"
        | "unevaluatedProperties" => Children::OneOrSwitch,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Children::List,
        "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties"
        | "properties" => Children::Named,
        _ => return None,
    })
}

/// Keywords that describe a value without restricting it.
pub(super) fn is_annotation(keyword: &str) -> bool {
    matches!(
        keyword,
        "$comment"
            | "contentEncoding"
            | "contentMediaType"
            | "contentSchema"
            | "default"
            | "deprecated"
            | "description"
            | "examples"
            | "readOnly"
            | "title"
            | "writeOnly"
    )
}

/// The types of JSON Schema.
pub(super) const TYPES: &[&str] = &[
    "string", "number", "integer", "boolean", "object", "array", "null",
];

/// The types that `node` allows; `None` if it has no `type`.
pub(super) fn types(node: &Map<String, Value>) -> Option<Vec<&str>> {
    match node.get("type")? {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => Some(many.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// Whether `value` is of the type `name`. Whole numbers are integers, however they are written.
pub(super) fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => is_integer(value),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// The names in `required`.
pub(super) fn required(node: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let names = node.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// The schemas in `properties`.
pub(super) fn properties(node: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let properties = node.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten()
}

/// The schema of the property `name` in `properties`.
pub(super) fn named_property<'a>(node: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    node.get("properties")?.as_object()?.get(name)
}
