//! Schemas that combine others: references, `allOf`, and the variants of `anyOf` and `oneOf`.
//!
//! Strict schemas have only `anyOf`, and no keyword next to it. So all that applies to a value at once becomes
//! one schema, and so does each variant with the keywords that stand next to the variants.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::converter::{Combined, Converter, is_never, one_field};
use super::limits::{MAX_VALUES, NUMBER_KEYWORDS};
use crate::tool::keyword::{named_property, properties, required, types};
use crate::tool::problem::{Problem, Result, below};

/// Limit of the references and combinations that are followed for one value.
const MAX_FOLLOWED: usize = 32;

/// Keywords that restrict a value and that a conversion knows, without those of numbers.
const KNOWN: &[&str] = &[
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "not",
    "oneOf",
    "pattern",
    "prefixItems",
    "properties",
    "required",
    "type",
    "unevaluatedProperties",
    "uniqueItems",
];

/// Keywords that no strict schema expresses, with the reason.
const INEXPRESSIBLE: &[(&str, &str)] = &[
    ("contains", "requires an item among others"),
    ("dependentRequired", "requires properties because of others"),
    (
        "dependentSchemas",
        "restricts a value because of its properties",
    ),
    ("patternProperties", "names properties by patterns"),
    ("propertyNames", "restricts the names of properties"),
];

impl Converter<'_> {
    /// Resolves all that `node` combines, `followed` references into the same value.
    pub(super) fn combine(
        &mut self,
        node: &Map<String, Value>,
        at: &str,
        followed: usize,
    ) -> Result<Combined> {
        self.spend(node.values().map(size).sum(), at)?;
        let known = known(node, at)?;
        if let Some(Value::String(target)) = known.get("$ref")
            && known
                .keys()
                .all(|keyword| matches!(keyword.as_str(), "$ref" | "description"))
        {
            return Ok(Combined::Reference(target.clone()));
        }
        let mut base = self.flatten(known, at, followed)?;
        let (any, one) = (base.remove("anyOf"), base.remove("oneOf"));
        let exclusive = one.is_some();
        let variants = match (any, one) {
            (Some(Value::Array(variants)), None) | (None, Some(Value::Array(variants))) => variants,
            (None, None) => return Ok(Combined::Plain(base)),
            _ => return Err(Problem::new(at, "combines anyOf with oneOf")),
        };
        base.remove("description");
        let variants = variants.into_iter().filter_map(|variant| match variant {
            Value::Object(variant) => Some(variant),
            _ => None,
        });
        let is_bare = base.is_empty();
        let variants = variants.map(|variant| {
            if is_bare {
                return Ok(variant);
            }
            self.spend(base.values().map(size).sum(), at)?;
            let variant = self.flatten(known_owned(variant, at)?, at, followed + 1)?;
            // A description stands with the variants, and further variants with what applies to them.
            merge(base.clone(), variant, at)
        });
        Ok(Combined::Union {
            variants: variants.collect::<Result<Vec<_>>>()?,
            exclusive,
        })
    }

    /// `node` as one schema without `$ref` and `allOf`.
    fn flatten(
        &mut self,
        mut node: Map<String, Value>,
        at: &str,
        followed: usize,
    ) -> Result<Map<String, Value>> {
        if followed > MAX_FOLLOWED {
            return Err(Problem::new(at, "is nested too deeply"));
        }
        let mut parts = Vec::new();
        if let Some(Value::String(target)) = node.remove("$ref") {
            parts.push(self.target(&target, at)?);
        }
        if let Some(Value::Array(all)) = node.remove("allOf") {
            parts.extend(all.into_iter().filter_map(|part| match part {
                Value::Object(part) => Some(part),
                _ => None,
            }));
        }
        if !parts.is_empty() || node.contains_key("anyOf") || node.contains_key("oneOf") {
            close_unevaluated(&mut node);
        }
        for part in parts {
            self.spend(1, at)?;
            let part = self.flatten(known_owned(part, at)?, at, followed + 1)?;
            node = merge(node, part, at)?;
        }
        Ok(node)
    }

    /// A copy of the schema to which `reference` leads.
    pub(super) fn target(&mut self, reference: &str, at: &str) -> Result<Map<String, Value>> {
        let target = self.document.resolve(reference);
        let target = target.ok_or_else(|| Problem::new(at, "refers to a missing schema"))?;
        self.spend(target.values().map(size).sum(), at)?;
        Ok(target.clone())
    }
}

/// The nodes of `value`, with long texts counted as several.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(size).sum(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::String(text) => text.len() / 256,
        _ => 0,
    }
}

/// The keywords of `node` that a conversion knows.
fn known(node: &Map<String, Value>, at: &str) -> Result<Map<String, Value>> {
    for (keyword, reason) in INEXPRESSIBLE {
        let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        if node.get(*keyword).is_some_and(|value| !is_empty(value)) {
            return Err(Problem::new(&below(at, keyword), *reason));
        }
    }
    if node.contains_key("not") && !is_never(node) {
        return Err(Problem::new(&below(at, "not"), "excludes values"));
    }
    if node.contains_key("if") && (node.contains_key("then") || node.contains_key("else")) {
        return Err(Problem::new(
            &below(at, "if"),
            "restricts a value because of itself",
        ));
    }
    let values = node.get("enum").and_then(Value::as_array);
    if values.is_some_and(|values| values.len() > MAX_VALUES) {
        let reason = format!("lists more than {MAX_VALUES} values");
        return Err(Problem::new(&below(at, "enum"), reason));
    }
    let mut known = Map::new();
    for (keyword, value) in node {
        if KNOWN.contains(&keyword.as_str()) || NUMBER_KEYWORDS.contains(&keyword.as_str()) {
            known.insert(keyword.clone(), value.clone());
        }
    }
    if let Some(value) = node.get("const") {
        let constant = one_field("enum", json!([value]));
        known = merge(constant, known, at)?;
    }
    match node.get("unevaluatedItems") {
        None | Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => {
            known.entry("items").or_insert_with(|| json!({"not": {}}));
        }
        Some(_) => {
            return Err(Problem::new(
                &below(at, "unevaluatedItems"),
                "restricts items",
            ));
        }
    }
    Ok(known)
}

fn known_owned(node: Map<String, Value>, at: &str) -> Result<Map<String, Value>> {
    known(&node, at)
}

/// Removes an `unevaluatedProperties` that forbids: all parts of a strict schema are closed together.
fn close_unevaluated(node: &mut Map<String, Value>) {
    if node.get("unevaluatedProperties") == Some(&Value::Bool(false)) {
        node.remove("unevaluatedProperties");
    }
}

/// Whether `node` forbids properties that it does not name.
pub(super) fn is_closed(node: &Map<String, Value>) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|keyword| match node.get(*keyword) {
            Some(Value::Bool(allowed)) => !allowed,
            Some(Value::Object(further)) => is_never(further),
            _ => false,
        })
}

fn never() -> Map<String, Value> {
    one_field("not", json!({}))
}

/// The schema of the values that fit both `one` and `other`.
fn merge(
    mut one: Map<String, Value>,
    mut other: Map<String, Value>,
    at: &str,
) -> Result<Map<String, Value>> {
    if is_never(&one) || is_never(&other) {
        return Ok(never());
    }
    let needed: BTreeSet<&str> = required(&one).chain(required(&other)).collect();
    let needed: Vec<String> = needed.into_iter().map(str::to_owned).collect();
    let has_prefix = |node: &Map<String, Value>| node.contains_key("prefixItems");
    let has_items = |node: &Map<String, Value>| has_prefix(node) || node.contains_key("items");
    if (has_prefix(&one) && has_items(&other)) || (has_items(&one) && has_prefix(&other)) {
        return Err(Problem::new(at, "combines two lists of items"));
    }
    if !remove_foreign(&one, &mut other, &needed, at)?
        || !remove_foreign(&other, &mut one, &needed, at)?
    {
        return Ok(never());
    }
    let closed = is_closed(&one) || is_closed(&other);
    for (keyword, value) in other {
        let Some(present) = one.get(&keyword) else {
            one.insert(keyword, value);
            continue;
        };
        if *present == value {
            continue;
        }
        let merged = match keyword.as_str() {
            "description" => continue,
            "type" => {
                let other = one_field("type", value);
                match common_types(&one, &other) {
                    types if types.is_empty() => return Ok(never()),
                    types => json!(types),
                }
            }
            "enum" => {
                let both = present.as_array().into_iter().flatten();
                let both = both.filter(|one| value.as_array().is_some_and(|all| all.contains(one)));
                Value::Array(both.cloned().collect())
            }
            "properties" => both_properties(present, &value),
            "required" => json!(needed),
            "additionalProperties" | "unevaluatedProperties" if closed => json!(false),
            "items" => json!({"allOf": [present, value]}),
            "uniqueItems" => json!(true),
            "minItems" | "minLength" | "minProperties" | "minimum" | "exclusiveMinimum" => {
                larger(present, &value)
            }
            "maxItems" | "maxLength" | "maxProperties" | "maximum" | "exclusiveMaximum" => {
                smaller(present, &value)
            }
            _ => {
                return Err(Problem::new(
                    at,
                    format!("combines two values of {keyword}"),
                ));
            }
        };
        one.insert(keyword, merged);
    }
    if one.contains_key("anyOf") && one.contains_key("oneOf") {
        return Err(Problem::new(at, "combines anyOf with oneOf"));
    }
    Ok(one)
}

/// Removes the properties of `open` that `closed` forbids; `false` if one of them is `needed`.
fn remove_foreign(
    closed: &Map<String, Value>,
    open: &mut Map<String, Value>,
    needed: &[String],
    at: &str,
) -> Result<bool> {
    let is_foreign = |name: &String| named_property(closed, name).is_none();
    let has_foreign = properties(open).any(|(name, _)| is_foreign(name));
    if is_closed(closed) {
        if needed.iter().any(is_foreign) {
            return Ok(false);
        }
        if let Some(Value::Object(open)) = open.get_mut("properties") {
            open.retain(|name, _| !is_foreign(name));
        }
    } else if has_foreign
        && matches!(closed.get("additionalProperties"), Some(Value::Object(further)) if !further.is_empty())
    {
        let reason = "restricts properties that another part names";
        return Err(Problem::new(&below(at, "additionalProperties"), reason));
    }
    Ok(true)
}

/// The types that both schemas allow.
fn common_types(one: &Map<String, Value>, other: &Map<String, Value>) -> Vec<String> {
    let (one, other) = (
        types(one).unwrap_or_default(),
        types(other).unwrap_or_default(),
    );
    let mut common = Vec::new();
    for name in one {
        if other.contains(&name) || (name == "integer" && other.contains(&"number")) {
            common.push(name.to_owned());
        } else if name == "number" && other.contains(&"integer") {
            common.push("integer".to_owned());
        }
    }
    common
}

/// The properties of both schemas; one that both name must fit both.
fn both_properties(one: &Value, other: &Value) -> Value {
    let mut all = one.as_object().cloned().unwrap_or_default();
    for (name, schema) in other.as_object().into_iter().flatten() {
        let merged = match all.get(name) {
            Some(present) if present != schema => json!({"allOf": [present, schema]}),
            _ => schema.clone(),
        };
        all.insert(name.clone(), merged);
    }
    Value::Object(all)
}

fn larger(one: &Value, other: &Value) -> Value {
    let is_larger = one.as_f64() >= other.as_f64();
    if is_larger { one } else { other }.clone()
}

fn smaller(one: &Value, other: &Value) -> Value {
    let is_smaller = one.as_f64() <= other.as_f64();
    if is_smaller { one } else { other }.clone()
}
