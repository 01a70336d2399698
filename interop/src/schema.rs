//! Comparison of JSON Schemas by their meaning.

use serde_json::{Map, Value, json};

/// Formats of Rust number widths, without meaning in JSON.
const WIDTHS: &[&str] = &[
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "uint", "int",
    "float", "double",
];

/// Normalises `schema`, so that equivalent schemas of different generators are equal.
///
/// Resolves references, removes titles, number widths and a default of `null` where `null` is allowed,
/// sorts unordered lists, and replaces `"type": [..]` by `anyOf`.
#[must_use]
pub fn meaning(schema: &Value) -> Value {
    let definitions = schema.get("$defs").cloned().unwrap_or_else(|| json!({}));
    node(schema, &definitions)
}

fn node(schema: &Value, definitions: &Value) -> Value {
    let Value::Object(given) = schema else {
        return schema.clone();
    };
    let mut given = resolved(given, definitions);
    for name in ["$schema", "$defs", "title"] {
        given.remove(name);
    }
    if given
        .get("format")
        .is_some_and(|format| WIDTHS.iter().any(|width| format == width))
    {
        given.remove("format");
    }
    types_apart(&mut given);

    let mut meant = Map::new();
    for (keyword, value) in &given {
        let value = match keyword.as_str() {
            "properties" => Value::Object(
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, child)| (name.clone(), node(child, definitions)))
                    .collect(),
            ),
            "items" | "additionalProperties" => node(value, definitions),
            "anyOf" => sorted(children(value, definitions)),
            "prefixItems" => Value::Array(children(value, definitions)),
            "required" | "enum" => sorted(value.as_array().cloned().unwrap_or_default()),
            // 100 and 100.0 are the same limit.
            "minimum" | "maximum" => value.as_f64().map_or(value.clone(), |limit| json!(limit)),
            _ => value.clone(),
        };
        meant.insert(keyword.clone(), value);
    }
    if meant.get("default") == Some(&Value::Null) && allows_null(&meant) {
        meant.remove("default");
    }
    if meant.get("required") == Some(&json!([])) {
        meant.remove("required");
    }
    meant.sort_keys();
    Value::Object(meant)
}

/// Resolves a reference; keywords next to it override those of its target.
fn resolved(given: &Map<String, Value>, definitions: &Value) -> Map<String, Value> {
    let target = given
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix("#/$defs/"))
        .and_then(|name| definitions.get(name))
        .and_then(Value::as_object);
    let Some(target) = target else {
        return given.clone();
    };
    let mut whole = resolved(target, definitions);
    for (keyword, value) in given {
        if keyword != "$ref" {
            whole.insert(keyword.clone(), value.clone());
        }
    }
    whole
}

/// `{"type": ["integer", "null"], "maximum": 9}` as `anyOf` of two.
fn types_apart(given: &mut Map<String, Value>) {
    /// Keywords that apply to all types.
    const COMMON: &[&str] = &["default", "description", "deprecated", "examples"];
    let Some(Value::Array(types)) = given.get("type").cloned() else {
        return;
    };
    let (common, particular): (Map<_, _>, Map<_, _>) = std::mem::take(given)
        .into_iter()
        .partition(|(keyword, _)| COMMON.contains(&keyword.as_str()));
    let variants = types.into_iter().map(|one| {
        if one == "null" {
            json!({"type": "null"})
        } else {
            let mut variant = particular.clone();
            variant.insert("type".to_owned(), one);
            Value::Object(variant)
        }
    });
    let variants = variants.collect();
    *given = common;
    given.insert("anyOf".to_owned(), Value::Array(variants));
}

fn children(value: &Value, definitions: &Value) -> Vec<Value> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|child| node(child, definitions))
        .collect()
}

fn sorted(mut values: Vec<Value>) -> Value {
    values.sort_by_key(Value::to_string);
    Value::Array(values)
}

fn allows_null(node: &Map<String, Value>) -> bool {
    let null = json!({"type": "null"});
    node.get("type") == Some(&json!("null"))
        || node
            .get("anyOf")
            .and_then(Value::as_array)
            .is_some_and(|variants| variants.contains(&null))
}
