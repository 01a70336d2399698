//! Schemas that refer to themselves for the same value: they mean nothing, and evaluating them has no end.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::problem::{Problem, Result, below};
use super::reference::definition_name;

/// The keywords whose schemas apply to the same value.
const IN_PLACE: &[&str] = &[
    "allOf",
    "anyOf",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "then",
];

/// Checks that no schema leads back to itself without a step into the value.
pub(super) fn check(root: &Map<String, Value>, definitions: &Map<String, Value>) -> Result<()> {
    let mut targets: BTreeMap<Option<String>, Vec<Option<String>>> = BTreeMap::new();
    collect_node(root, targets.entry(None).or_default());
    for (name, definition) in definitions {
        collect(definition, targets.entry(Some(name.clone())).or_default());
    }
    // Removes the schemas that lead to no further ones, until none or only circles are left.
    let mut sources: BTreeMap<Option<String>, Vec<Option<String>>> = BTreeMap::new();
    let mut open: BTreeMap<Option<String>, usize> = BTreeMap::new();
    for (source, targets) in &targets {
        open.insert(source.clone(), targets.len());
        for target in targets {
            sources
                .entry(target.clone())
                .or_default()
                .push(source.clone());
        }
    }
    let mut ended: Vec<Option<String>> = open
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(name, _)| name.clone())
        .collect();
    while let Some(name) = ended.pop() {
        open.remove(&name);
        for source in sources.remove(&name).unwrap_or_default() {
            if let Some(count) = open.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    ended.push(source);
                }
            }
        }
    }
    match open.into_keys().next() {
        None => Ok(()),
        Some(name) => {
            let location = name.map_or_else(String::new, |name| below("/$defs", &name));
            Err(Problem::new(
                &location,
                "refers to itself for the same value",
            ))
        }
    }
}

fn collect(schema: &Value, targets: &mut Vec<Option<String>>) {
    match schema {
        Value::Object(node) => collect_node(node, targets),
        Value::Array(nodes) => nodes.iter().for_each(|node| collect(node, targets)),
        _ => {}
    }
}

fn collect_node(node: &Map<String, Value>, targets: &mut Vec<Option<String>>) {
    let reference = node.get("$ref").and_then(Value::as_str);
    targets.extend(reference.and_then(definition_name));
    for (keyword, child) in node {
        match (keyword.as_str(), child) {
            ("dependentSchemas", Value::Object(named)) => {
                named.values().for_each(|child| collect(child, targets));
            }
            (keyword, child) if IN_PLACE.contains(&keyword) => collect(child, targets),
            _ => {}
        }
    }
}
