//! Rewriting of a schema for OpenAI's strict mode.

use serde_json::{Map, Value, json};

/// Keywords that strict mode rejects.
const DROPPED: &[&str] = &[
    "$schema",
    "default",
    "format",
    "maximum",
    "maxItems",
    "maxLength",
    "minimum",
    "minItems",
    "minLength",
    "pattern",
    "title",
];

/// Rewrites `schema` in place. The error is the location of a part that cannot be strict.
pub(super) fn clean(schema: &mut Value) -> Result<(), String> {
    clean_node(schema, "")
}

fn clean_node(node: &mut Value, location: &str) -> Result<(), String> {
    let node = match node {
        Value::Object(node) => node,
        // `true` allows anything.
        Value::Bool(true) => return Err(shown(location)),
        _ => return Ok(()),
    };
    for keyword in DROPPED {
        node.remove(*keyword);
    }
    if let Some(variants) = node.remove("oneOf") {
        node.insert("anyOf".to_owned(), variants);
    }
    if allows_type(node, "object") {
        clean_object(node, location)?;
    }
    for (keyword, children) in node.iter_mut() {
        match (keyword.as_str(), children) {
            ("$defs" | "definitions", Value::Object(children)) => {
                for (name, child) in children {
                    clean_node(child, &format!("{location}/{keyword}/{name}"))?;
                }
            }
            ("anyOf" | "allOf" | "prefixItems", Value::Array(children)) => {
                for (index, child) in children.iter_mut().enumerate() {
                    clean_node(child, &format!("{location}/{keyword}/{index}"))?;
                }
            }
            ("items", child) => clean_node(child, &format!("{location}/items"))?,
            _ => {}
        }
    }
    Ok(())
}

fn clean_object(node: &mut Map<String, Value>, location: &str) -> Result<(), String> {
    let free_form = match node.get("additionalProperties") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true) | Value::Object(_)) => true,
        Some(_) => false,
    };
    if free_form {
        return Err(shown(location));
    }
    let required = node.remove("required");
    let is_required = |name: &str| {
        required
            .as_ref()
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|n| n == name))
    };
    let mut names = Vec::new();
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            clean_node(property, &format!("{location}/properties/{name}"))?;
            if !is_required(name) {
                make_nullable(property);
            }
            names.push(name.clone());
        }
    }
    names.sort_unstable();
    node.insert("additionalProperties".to_owned(), json!(false));
    node.insert("required".to_owned(), json!(names));
    Ok(())
}

fn make_nullable(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else {
        return;
    };
    if let Some(values) = node.get_mut("enum").and_then(Value::as_array_mut)
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    match node.get_mut("type") {
        Some(Value::String(one)) if one != "null" => node["type"] = json!([one, "null"]),
        Some(Value::Array(many)) if !many.contains(&json!("null")) => many.push(json!("null")),
        Some(_) => {}
        None => {
            let nothing = json!({"type": "null"});
            match node.get_mut("anyOf").and_then(Value::as_array_mut) {
                Some(variants) if variants.contains(&nothing) => {}
                Some(variants) => variants.push(nothing),
                None => *schema = json!({"anyOf": [schema.take(), nothing]}),
            }
        }
    }
}

fn allows_type(node: &Map<String, Value>, wanted: &str) -> bool {
    match node.get("type") {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(many)) => many.iter().any(|t| t == wanted),
        _ => false,
    }
}

fn shown(location: &str) -> String {
    if location.is_empty() {
        "the input itself".to_owned()
    } else {
        location.to_owned()
    }
}
