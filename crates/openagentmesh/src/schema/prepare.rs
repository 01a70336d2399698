//! Rewrites a schema for the library, without another meaning.

use std::collections::HashMap;

use serde_json::{Map, Number, Value, json};

use super::integers::{MAX_INT128, MAX_UINT128};
use super::pattern::translate;

/// A schema for the library.
pub(super) struct Prepared {
    pub(super) schema: Value,
    pub(super) patterns: TranslatedPatterns,
}

/// The patterns of a schema that were translated, with their originals.
pub(super) type TranslatedPatterns = HashMap<String, String>;

/// Translates the patterns of `schema`, adds the ranges that the formats of integers stand for, and adds an
/// alternative that fits no value to two that differ in a text.
///
/// A pattern that cannot be translated stays: the budget refuses it with its place.
pub(super) fn prepare(schema: &Value) -> Prepared {
    let mut prepared = Prepared {
        schema: schema.clone(),
        patterns: TranslatedPatterns::new(),
    };
    // Not recursive: a schema may be nested deeper than the stack allows.
    let mut stack = vec![&mut prepared.schema];
    while let Some(value) = stack.pop() {
        match value {
            Value::Object(node) => {
                add_range(node);
                add_alternative(node);
                if let Some(Value::String(pattern)) = node.get_mut("pattern") {
                    replace(pattern, &mut prepared.patterns);
                }
                if let Some(Value::Object(named)) = node.get_mut("patternProperties") {
                    *named = std::mem::take(named)
                        .into_iter()
                        .map(|(mut pattern, schema)| {
                            replace(&mut pattern, &mut prepared.patterns);
                            (pattern, schema)
                        })
                        .collect();
                }
                for (keyword, member) in node {
                    match (keyword.as_str(), member) {
                        ("const" | "default" | "enum" | "examples", _) => {}
                        // The keys are names of properties or definitions.
                        (
                            "$defs" | "definitions" | "dependentSchemas" | "patternProperties"
                            | "properties",
                            Value::Object(schemas),
                        ) => stack.extend(schemas.values_mut()),
                        (_, member) => stack.push(member),
                    }
                }
            }
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
    prepared
}

fn replace(pattern: &mut String, patterns: &mut TranslatedPatterns) {
    if let Ok(translated) = translate(pattern) {
        let original = std::mem::replace(pattern, translated);
        patterns.insert(pattern.clone(), original);
    }
}

/// Adds the range of an integer's format, such as `int32`, if the schema has none that is narrower.
fn add_range(node: &mut Map<String, Value>) {
    let Some((minimum, maximum)) = node
        .get("format")
        .and_then(Value::as_str)
        .and_then(integer_range)
    else {
        return;
    };
    let is_integer = match node.get("type") {
        Some(Value::String(name)) => name == "integer",
        Some(Value::Array(names)) => {
            names.iter().any(|name| name == "integer") && !names.iter().any(|name| name == "number")
        }
        _ => false,
    };
    if !is_integer {
        return;
    }
    for (keyword, limit) in [("minimum", minimum), ("maximum", maximum)] {
        let wider = match (node.get(keyword).map(Value::as_f64), limit.as_f64()) {
            (None, _) => true,
            (Some(Some(given)), Some(limit)) if keyword == "minimum" => given < limit,
            (Some(Some(given)), Some(limit)) => given > limit,
            _ => false,
        };
        if wider {
            node.insert(keyword.to_owned(), Value::Number(limit));
        }
    }
}

/// Adds an alternative that fits no value, if there are two that differ in the text of a property: the library
/// selects by that text only among three.
fn add_alternative(node: &mut Map<String, Value>) {
    for keyword in ["anyOf", "oneOf"] {
        let Some(Value::Array(alternatives)) = node.get_mut(keyword) else {
            continue;
        };
        if let [first, second] = &alternatives[..]
            && fixed_texts(first).any(|name| fixed_texts(second).any(|other| other == name))
        {
            alternatives.push(json!({"type": "null", "not": {}}));
        }
    }
}

/// The properties that a schema fixes to a text.
fn fixed_texts(schema: &Value) -> impl Iterator<Item = &String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let is_fixed = |schema: &Value| schema.get("const").is_some_and(Value::is_string);
    let properties = properties.into_iter().flatten();
    properties.filter_map(move |(name, schema)| is_fixed(schema).then_some(name))
}

/// The least and the greatest integer of `format`.
///
/// Integers beyond 64 bits are compared as the `f64` that [`parse`](super::parse) makes of them.
pub(super) fn integer_range(format: &str) -> Option<(Number, Number)> {
    let (minimum, maximum): (Number, Number) = match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
        "int128" => (
            Number::from_f64(-(2_f64.powi(127)))?,
            Number::from_f64(MAX_INT128)?,
        ),
        "uint8" => (0.into(), u8::MAX.into()),
        "uint16" => (0.into(), u16::MAX.into()),
        "uint32" => (0.into(), u32::MAX.into()),
        "uint64" | "uint" => (0.into(), u64::MAX.into()),
        "uint128" => (0.into(), Number::from_f64(MAX_UINT128)?),
        _ => return None,
    };
    Some((minimum, maximum))
}
