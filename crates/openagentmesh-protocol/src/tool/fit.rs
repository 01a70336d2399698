//! Whether a value fits a schema, as far as its structure decides it.
//!
//! Patterns and formats are not evaluated: the check finds the variant to which a value belongs and does not
//! replace validation.

use serde_json::{Map, Value};

use super::document::Document;
use super::keyword::{is_of_type, named_property, required, types};

/// Limit of the steps of one check.
const MAX_STEPS: usize = 100_000;

/// Limit of the references that are followed without a step into the value.
const MAX_DEPTH: usize = 64;

/// Checks values against the schemas of a document, within a limit of steps.
pub(super) struct Fit<'a> {
    document: &'a Document,
    steps: usize,
}

impl<'a> Fit<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self {
            document,
            steps: MAX_STEPS,
        }
    }

    /// Takes one step; `false` when none is left.
    pub(super) fn step(&mut self) -> bool {
        self.take(1)
    }

    fn take(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(steps);
        self.steps > 0
    }

    /// The schema to which the `$ref` of `node` leads.
    pub(super) fn target(&self, node: &Map<String, Value>) -> Option<&'a Map<String, Value>> {
        self.document.resolve(node.get("$ref")?.as_str()?)
    }

    /// Whether `value` fits `schema`. When no step is left, it does.
    pub(super) fn fits(&mut self, value: &Value, schema: &'a Value) -> bool {
        self.fits_at(value, schema, 0)
    }

    fn fits_at(&mut self, value: &Value, schema: &'a Value, depth: usize) -> bool {
        let node = match schema {
            Value::Object(node) => node,
            Value::Bool(allowed) => return *allowed,
            _ => return true,
        };
        self.fits_node(value, node, depth)
    }

    /// As [`Fit::fits`], `depth` references into the same value.
    pub(super) fn fits_node(
        &mut self,
        value: &Value,
        node: &'a Map<String, Value>,
        depth: usize,
    ) -> bool {
        let length = |keyword: &str| {
            node.get(keyword)
                .and_then(Value::as_array)
                .map_or(0, Vec::len)
        };
        let steps = 1 + length("enum") / 16 + length("required") / 16;
        if !self.take(steps) || depth > MAX_DEPTH {
            return true;
        }
        if types(node).is_some_and(|types| !types.iter().any(|name| is_of_type(value, name))) {
            return false;
        }
        if let Some(Value::Array(values)) = node.get("enum")
            && !values.iter().any(|one| equal(one, value))
        {
            return false;
        }
        if node.get("const").is_some_and(|one| !equal(one, value)) {
            return false;
        }
        if let Some(target) = self.target(node)
            && !self.fits_node(value, target, depth + 1)
        {
            return false;
        }
        self.fits_combination(value, node, depth)
            && match value {
                Value::Object(fields) => self.fits_object(fields, node),
                Value::Array(items) => self.fits_array(items, node),
                Value::Number(number) => number.as_f64().is_none_or(|n| fits_range(n, node)),
                Value::String(text) => fits_count(text.chars().count(), node, "Length"),
                _ => true,
            }
    }

    fn fits_combination(
        &mut self,
        value: &Value,
        node: &'a Map<String, Value>,
        depth: usize,
    ) -> bool {
        let list = |keyword: &str| node.get(keyword).and_then(Value::as_array);
        let mut fitting = |list: &'a Vec<Value>, enough: usize| {
            let mut count = 0;
            for schema in list {
                count += usize::from(self.fits_at(value, schema, depth + 1));
                if count >= enough {
                    break;
                }
            }
            count
        };
        list("allOf").is_none_or(|all| fitting(all, usize::MAX) == all.len())
            && list("anyOf").is_none_or(|any| fitting(any, 1) == 1)
            && list("oneOf").is_none_or(|one| fitting(one, 2) == 1)
            && node
                .get("not")
                .is_none_or(|not| !self.fits_at(value, not, depth + 1))
    }

    fn fits_object(&mut self, fields: &Map<String, Value>, node: &'a Map<String, Value>) -> bool {
        if !fits_count(fields.len(), node, "Properties")
            || required(node).any(|name| !fields.contains_key(name))
        {
            return false;
        }
        fields.iter().all(|(name, value)| {
            property(node, name).is_none_or(|schema| self.fits_at(value, schema, 0))
        })
    }

    fn fits_array(&mut self, items: &[Value], node: &'a Map<String, Value>) -> bool {
        fits_count(items.len(), node, "Items")
            && items.iter().enumerate().all(|(index, item)| {
                element(node, index).is_none_or(|schema| self.fits_at(item, schema, 0))
            })
    }
}

/// The schema of the property `name` of `node`; `None` if `node` says nothing of it.
pub(super) fn property<'a>(node: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(schema) = named_property(node, name) {
        return Some(schema);
    }
    // A pattern may cover the name, and patterns are not evaluated.
    if node.contains_key("patternProperties") {
        return None;
    }
    node.get("additionalProperties")
}

/// The schema of the element `index` of an array.
pub(super) fn element(node: &Map<String, Value>, index: usize) -> Option<&Value> {
    let prefix = node.get("prefixItems").and_then(Value::as_array);
    let prefix = prefix.map_or(&[][..], Vec::as_slice);
    prefix.get(index).or_else(|| node.get("items"))
}

fn fits_range(number: f64, node: &Map<String, Value>) -> bool {
    let limit = |keyword: &str| node.get(keyword).and_then(Value::as_f64);
    limit("minimum").is_none_or(|limit| number >= limit)
        && limit("maximum").is_none_or(|limit| number <= limit)
        && limit("exclusiveMinimum").is_none_or(|limit| number > limit)
        && limit("exclusiveMaximum").is_none_or(|limit| number < limit)
}

fn fits_count(count: usize, node: &Map<String, Value>, of: &str) -> bool {
    let limit = |bound: &str| node.get(&format!("{bound}{of}")).and_then(Value::as_u64);
    let count = count as u64;
    limit("min").is_none_or(|limit| count >= limit)
        && limit("max").is_none_or(|limit| count <= limit)
}

/// Whether two values are equal, numbers by their value.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.as_f64() == other.as_f64() && (one.is_f64() || other.is_f64()))
        }
        _ => one == other,
    }
}
