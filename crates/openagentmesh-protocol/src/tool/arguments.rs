//! The way back: from the arguments of a model's tool call to the input of the agent.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::document::Document;
use super::fit::{Fit, element, property};
use super::keyword::{is_of_type, properties, required, types};
use super::wrap::WRAPPED_INPUT;

/// Parses `text` as models write it: nothing at all, JSON, JSON in a code block, or JSON in a JSON string.
///
/// # Errors
///
/// The reason why the text is not understood.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let text = unfenced(text.trim_start_matches('\u{feff}').trim());
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("the arguments are not JSON: {error}; write one JSON object"))?;
    if let Some(number) = lossy_number(text) {
        return Err(format!(
            "the number {number} loses digits: integers have at most 64 bits"
        ));
    }
    // Arguments are an object, so a string holds the object once more.
    if let Value::String(inner) = &value
        && let Ok(inner) = serde_json::from_str(inner.trim())
        && matches!(inner, Value::Object(_) | Value::Null)
    {
        return Ok(inner);
    }
    Ok(value)
}

/// The text in a Markdown code block, or the text itself.
fn unfenced(text: &str) -> &str {
    let Some(inner) = text
        .strip_prefix("```")
        .and_then(|text| text.strip_suffix("```"))
    else {
        return text;
    };
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    inner.trim()
}

/// The first integer in `json` that 64 bits do not hold.
fn lossy_number(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = at;
                while at < bytes.len()
                    && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                {
                    at += 1;
                }
                let number = &json[start..at];
                let is_integer = !number.contains(['.', 'e', 'E']);
                if is_integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return Some(number);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// The input in `arguments`, by the rule by which the tool's schema was wrapped.
pub(super) fn unwrap(arguments: Value, is_wrapped: bool) -> Value {
    match arguments {
        Value::Null if !is_wrapped => Value::Object(Map::new()),
        Value::Object(mut fields) if is_wrapped => match fields.remove(WRAPPED_INPUT) {
            Some(input) => input,
            None if fields.is_empty() => Value::Null,
            // Models sometimes write the input without the object around it.
            None => Value::Object(fields),
        },
        other => other,
    }
}

/// Removes each null in `input` that the schema does not allow and whose property is optional: the strict
/// form makes every property required, so models write null for those that they leave out.
pub(super) fn drop_nulls(input: &mut Value, document: &Document) {
    let mut pruning = Pruning {
        fit: Fit::new(document),
    };
    pruning.prune(input, vec![&document.root]);
}

struct Pruning<'a> {
    fit: Fit<'a>,
}

impl<'a> Pruning<'a> {
    /// Prunes `value`, to which all of `schemas` apply.
    fn prune(&mut self, value: &mut Value, schemas: Vec<&'a Map<String, Value>>) {
        if !contains_null(value) || !self.fit.step() {
            return;
        }
        let schemas = self.applicable(value, schemas);
        match value {
            Value::Object(fields) => {
                let all = schemas.iter().flat_map(|schema| required(schema));
                let needed: BTreeSet<&str> = all.collect();
                fields.retain(|name, field| {
                    !field.is_null()
                        || needed.contains(name.as_str())
                        || self.allows_null(&schemas, name)
                });
                for (name, field) in fields {
                    let below = schemas.iter().filter_map(|schema| property(schema, name));
                    self.prune(field, below.filter_map(Value::as_object).collect());
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let below = schemas.iter().filter_map(|schema| element(schema, index));
                    self.prune(item, below.filter_map(Value::as_object).collect());
                }
            }
            _ => {}
        }
    }

    fn allows_null(&mut self, schemas: &[&'a Map<String, Value>], name: &str) -> bool {
        let mut below = schemas.iter().filter_map(|schema| property(schema, name));
        below.all(|schema| self.fit.fits(&Value::Null, schema))
    }

    /// `schemas`, and those that apply to `value` because of them: referenced ones, all of `allOf`, and the
    /// variant to which the value belongs.
    fn applicable(
        &mut self,
        value: &Value,
        mut schemas: Vec<&'a Map<String, Value>>,
    ) -> Vec<&'a Map<String, Value>> {
        let mut next = 0;
        while next < schemas.len() && self.fit.step() {
            let node = schemas[next];
            next += 1;
            schemas.extend(self.fit.target(node));
            if let Some(Value::Array(all)) = node.get("allOf") {
                schemas.extend(all.iter().filter_map(Value::as_object));
            }
            for keyword in ["anyOf", "oneOf"] {
                if let Some(Value::Array(variants)) = node.get(keyword) {
                    schemas.extend(self.variant(value, variants));
                }
            }
            if let Some(condition) = node.get("if") {
                let branch = if self.fit.fits(value, condition) {
                    "then"
                } else {
                    "else"
                };
                schemas.extend(node.get(branch).and_then(Value::as_object));
            }
        }
        schemas
    }

    /// The variant that `value` fits, at first as it is, then once its nulls are dropped; else the only one
    /// of the right kind.
    fn variant(&mut self, value: &Value, variants: &'a [Value]) -> Option<&'a Map<String, Value>> {
        let variants: Vec<_> = variants.iter().filter_map(Value::as_object).collect();
        let fitting = variants
            .iter()
            .find(|variant| self.fit.fits_node(value, variant, 0));
        if let Some(variant) = fitting {
            return Some(variant);
        }
        for &variant in &variants {
            if !self.spend(value) {
                return None;
            }
            let mut candidate = value.clone();
            self.prune(&mut candidate, vec![variant]);
            if self.fit.fits_node(&candidate, variant, 0) {
                return Some(variant);
            }
        }
        let mut similar = variants
            .into_iter()
            .filter(|variant| self.resembles(value, variant));
        let found = similar.next()?;
        similar.next().is_none().then_some(found)
    }

    /// Whether `value` has the type of `variant` and, of an object, the properties by which variants differ.
    fn resembles(&self, value: &Value, variant: &'a Map<String, Value>) -> bool {
        let node = self.fit.target(variant).unwrap_or(variant);
        if types(node).is_some_and(|types| !types.iter().any(|name| is_of_type(value, name))) {
            return false;
        }
        let Value::Object(fields) = value else {
            return true;
        };
        properties(node).all(
            |(name, schema)| match (fields.get(name), schema.get("const")) {
                (Some(field), Some(constant)) => field == constant,
                _ => true,
            },
        ) && required(node).all(|name| fields.contains_key(name))
    }

    /// Takes steps for a copy of `value`; `false` when none is left.
    fn spend(&mut self, value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.values().all(|field| self.spend(field)),
            Value::Array(items) => items.iter().all(|item| self.spend(item)),
            Value::String(text) => (0..=text.len() / 256).all(|_| self.fit.step()),
            _ => self.fit.step(),
        }
    }
}

fn contains_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().any(contains_null),
        Value::Array(items) => items.iter().any(contains_null),
        _ => false,
    }
}
