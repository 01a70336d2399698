//! Alternatives that differ in the text of one property, such as the variants of a tagged enum.
//!
//! The library checks only those alternatives that the text of the property selects. Nested values then take
//! steps in proportion to their size, where they would take a multiple for each level. This module selects the
//! same property as the library, or none where that is not certain.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The least alternatives among which the library selects.
const MIN_ALTERNATIVES: usize = 3;

/// References from one schema to the next.
const MAX_REFERENCES: usize = 16;

/// The texts of a property with which the library checks an alternative.
pub(super) struct Selected {
    property: Box<str>,
    /// The texts that the alternative allows.
    texts: Vec<Box<str>>,
    /// Whether the alternative refuses an object without the property.
    is_required: bool,
}

impl Selected {
    /// Whether the library skips the alternative for `value`.
    pub(super) fn is_skipped(&self, value: &Value) -> bool {
        let Value::Object(members) = value else {
            return false;
        };
        match members.get(&*self.property) {
            Some(Value::String(text)) => self.texts.iter().all(|allowed| **allowed != **text),
            Some(_) => false,
            None => self.is_required,
        }
    }
}

/// The texts to which a schema fixes a value.
enum Fixed<'s> {
    To(Vec<&'s str>),
    No,
    Unknown,
}

/// Whether references and keywords have their usual meaning in all of `schema`.
pub(super) fn is_plain(schema: &Value) -> bool {
    let is_known = |schema: &Map<String, Value>| match schema.get("$schema") {
        None => true,
        Some(uri) => uri.as_str().is_some_and(|uri| {
            uri.trim_end_matches('#') == "https://json-schema.org/draft/2020-12/schema"
        }),
    };
    let mut stack = Vec::new();
    match schema {
        Value::Object(root) if is_known(root) => {
            stack.extend(root.iter().filter(|(key, _)| *key != "$schema"));
        }
        _ => return false,
    }
    while let Some((key, value)) = stack.pop() {
        if matches!(key.as_str(), "$id" | "$schema" | "$vocabulary") {
            return false;
        }
        let mut values = vec![value];
        while let Some(value) = values.pop() {
            match value {
                Value::Object(members) => stack.extend(members),
                Value::Array(items) => values.extend(items),
                _ => {}
            }
        }
    }
    true
}

/// For each alternative, the texts with which the library checks it; `None` for one that it never skips. `None` if the
/// property by which the library selects is not certain. References start at `root`, which [`is_plain`].
pub(super) fn select(root: &Value, alternatives: &[Value]) -> Option<Vec<Option<Selected>>> {
    if alternatives.len() < MIN_ALTERNATIVES {
        return None;
    }
    // `None` for one that refuses every object.
    let mut objects: Vec<Option<&Map<String, Value>>> = Vec::with_capacity(alternatives.len());
    for alternative in alternatives {
        objects.push(match alternative {
            Value::Object(schema) if ["$ref", "allOf"].iter().any(|k| schema.contains_key(*k)) => {
                return None;
            }
            Value::Object(schema) => allows_objects(schema).then_some(schema),
            Value::Bool(false) => None,
            _ => return None,
        });
    }
    let name = tag(root, &objects)?;
    let selected = objects.into_iter().map(|schema| {
        let schema = schema?;
        match texts(root, property(schema, name)?) {
            Fixed::To(texts) => Some(Selected {
                property: name.into(),
                texts: texts.into_iter().map(Into::into).collect(),
                is_required: required(schema).any(|required| required == name),
            }),
            Fixed::No | Fixed::Unknown => None,
        }
    });
    Some(selected.collect())
}

/// The property by which the library selects among `objects`, if that is certain.
fn tag<'s>(root: &'s Value, objects: &[Option<&'s Map<String, Value>>]) -> Option<&'s str> {
    for name in ranked(objects) {
        let mut fixed = 0;
        for schema in objects.iter().flatten() {
            match property(schema, name).map_or(Fixed::No, |schema| texts(root, schema)) {
                Fixed::To(_) => fixed += 1,
                Fixed::No => {}
                // The library may select by this property.
                Fixed::Unknown => return None,
            }
        }
        if fixed >= 2 {
            return Some(name);
        }
    }
    None
}

fn allows_objects(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        _ => true,
    }
}

fn property<'s>(schema: &'s Map<String, Value>, name: &str) -> Option<&'s Value> {
    schema.get("properties")?.as_object()?.get(name)
}

fn required(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// The properties that at least two alternatives require, in the order in which the library tries them.
fn ranked<'s>(objects: &[Option<&'s Map<String, Value>>]) -> Vec<&'s str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for schema in objects.iter().flatten() {
        let distinct: BTreeSet<&str> = required(schema).collect();
        for name in distinct {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut names: Vec<(&str, usize)> = counts
        .into_iter()
        .filter(|(_, count)| *count >= 2)
        .collect();
    // Stable: names of one count stay in the order of the alphabet.
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    names.into_iter().map(|(name, _)| name).collect()
}

fn texts<'s>(root: &'s Value, schema: &'s Value) -> Fixed<'s> {
    let mut schema = schema;
    for _ in 0..MAX_REFERENCES {
        let Value::Object(keywords) = schema else {
            return Fixed::No;
        };
        if keywords.contains_key("not") {
            return Fixed::Unknown;
        }
        let fixed = match (keywords.get("const"), keywords.get("enum")) {
            (None, None) => Fixed::No,
            (Some(Value::String(text)), _) => Fixed::To(vec![text]),
            (None, Some(Value::Array(values))) if !values.is_empty() => {
                match values.iter().map(Value::as_str).collect() {
                    Some(texts) => Fixed::To(texts),
                    None => Fixed::Unknown,
                }
            }
            _ => Fixed::Unknown,
        };
        let Some(reference) = keywords.get("$ref") else {
            return fixed;
        };
        // What the target fixes goes before its neighbours.
        if !matches!(fixed, Fixed::No) {
            return Fixed::Unknown;
        }
        let target = reference
            .as_str()
            .and_then(|reference| reference.strip_prefix('#'));
        let target = target.filter(|pointer| !pointer.contains('%'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(target) => schema = target,
            None => return Fixed::Unknown,
        }
    }
    Fixed::Unknown
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variant(op: &str) -> Value {
        json!({"type": "object", "properties": {"op": {"const": op}, "l": {"$ref": "#"}},
               "required": ["op", "l"]})
    }

    #[test]
    fn variants_are_selected_by_their_tag() {
        let root = json!({"oneOf": [variant("add"), variant("sub"), {"type": "null"}]});
        assert!(is_plain(&root));
        let found = select(&root, root["oneOf"].as_array().unwrap()).unwrap();
        let is_skipped: Vec<_> = [
            json!({"op": "sub"}),
            json!({"l": 1}),
            json!({"op": 1}),
            json!(1),
        ]
        .iter()
        .map(|value| {
            let skipped = |at: usize| found[at].as_ref().is_some_and(|tag| tag.is_skipped(value));
            [0, 1, 2].map(skipped)
        })
        .collect();
        assert_eq!(
            is_skipped,
            [
                [true, false, false],
                [true, true, false],
                [false; 3],
                [false; 3]
            ]
        );
    }

    #[test]
    fn uncertain_selection_is_none() {
        let by_reference = json!({"$ref": "#/$defs/a"});
        let negated = json!({"required": ["op"], "properties": {"op": {"not": {"const": "x"}}}});
        for alternatives in [
            vec![variant("add"), variant("sub")],
            vec![variant("add"), variant("sub"), by_reference],
            vec![variant("add"), variant("sub"), negated],
            vec![json!({}), json!({}), json!({})],
        ] {
            let root = json!({"oneOf": alternatives});
            assert!(
                select(&root, root["oneOf"].as_array().unwrap()).is_none(),
                "{root}"
            );
        }
        for schema in [
            json!({"$schema": "https://example.com/own"}),
            json!({"$defs": {"a": {"$id": "b"}}}),
            json!({"allOf": [[{"$vocabulary": {}}]]}),
        ] {
            assert!(!is_plain(&schema), "{schema}");
        }
    }
}
