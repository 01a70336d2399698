//! Values that a schema describes, to try whether a type takes them.

use serde_json::{Map, Value, json};

/// Levels of a sample below which it has required parts only.
const MAX_FULL_DEPTH: usize = 6;

/// Levels of a sample: a recursive type may have no end.
const MAX_DEPTH: usize = 24;

/// Schemas that are read for one sample.
const MAX_STEPS: usize = 5_000;

/// Items and characters that a sample has for a lower limit.
const MAX_LENGTH: u64 = 100;

/// Two values that `schema` probably describes: one with every property, and one without what may be absent. A schema
/// that takes more to fit, such as a pattern, has none.
pub(super) fn samples(schema: &Value) -> impl Iterator<Item = Value> {
    [true, false].into_iter().filter_map(|is_full| {
        let mut sampler = Sampler {
            root: schema,
            is_full,
            steps: 0,
        };
        sampler.sample(schema, 0)
    })
}

struct Sampler<'s> {
    root: &'s Value,
    is_full: bool,
    steps: usize,
}

impl<'s> Sampler<'s> {
    fn sample(&mut self, schema: &'s Value, depth: usize) -> Option<Value> {
        self.steps += 1;
        if depth > MAX_DEPTH || self.steps > MAX_STEPS {
            return None;
        }
        let node = match schema {
            Value::Bool(true) => return Some(json!("a")),
            Value::Object(node) => node,
            _ => return None,
        };
        if ["pattern", "patternProperties", "not", "if", "$dynamicRef"]
            .iter()
            .any(|keyword| node.contains_key(*keyword))
        {
            return None;
        }
        if let Some(value) = node.get("const") {
            return Some(value.clone());
        }
        if let Some(values) = node.get("enum") {
            return values.as_array()?.first().cloned();
        }
        let mut parts = Vec::new();
        if let Some(reference) = node.get("$ref") {
            let target = self.root.pointer(reference.as_str()?.strip_prefix('#')?)?;
            parts.push(self.sample(target, depth + 1)?);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(alternatives) = node.get(keyword) {
                parts.push(self.alternative(alternatives.as_array()?, depth)?);
            }
        }
        for part in list(node, "allOf") {
            parts.push(self.sample(part, depth + 1)?);
        }
        if parts.is_empty() || node.contains_key("properties") {
            parts.push(self.typed(node, depth)?);
        }
        parts.into_iter().reduce(merged)
    }

    /// The first alternative of which there is a sample. One with less comes last, such as `null`.
    fn alternative(&mut self, alternatives: &'s [Value], depth: usize) -> Option<Value> {
        let is_full = self.is_full(depth);
        let last = alternatives.iter().rev().filter(|_| !is_full);
        let mut order = last.chain(alternatives);
        order.find_map(|alternative| self.sample(alternative, depth + 1))
    }

    fn is_full(&self, depth: usize) -> bool {
        self.is_full && depth <= MAX_FULL_DEPTH
    }

    fn typed(&mut self, node: &'s Map<String, Value>, depth: usize) -> Option<Value> {
        let name = match node.get("type") {
            Some(Value::String(name)) => name,
            Some(Value::Array(names)) if self.is_full(depth) => names.first()?.as_str()?,
            Some(Value::Array(names)) => names.last()?.as_str()?,
            _ if node.contains_key("properties") => "object",
            _ => "string",
        };
        match name {
            "null" => Some(Value::Null),
            "boolean" => Some(json!(true)),
            "integer" | "number" => Some(number(node)),
            "string" => text(node).map(Value::String),
            "array" => self.items(node, depth),
            "object" => self.members(node, depth),
            _ => None,
        }
    }

    fn items(&mut self, node: &'s Map<String, Value>, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        for item in list(node, "prefixItems") {
            items.push(self.sample(item, depth + 1)?);
        }
        let least = limit(node, "minItems")?;
        let has_room = node.get("maxItems").and_then(Value::as_u64) != Some(0);
        let is_full = self.is_full(depth) && items.is_empty() && has_room;
        let count = least.max(u64::from(is_full));
        if let Some(item) = node.get("items").filter(|items| items.is_object())
            && (items.len() as u64) < count
        {
            match self.sample(item, depth + 1) {
                Some(item) => items.resize(usize::try_from(count).ok()?, item),
                None if least > 0 => return None,
                None => {}
            }
        }
        Some(Value::Array(items))
    }

    fn members(&mut self, node: &'s Map<String, Value>, depth: usize) -> Option<Value> {
        let required: Vec<&str> = list(node, "required").filter_map(Value::as_str).collect();
        let mut members = Map::new();
        let properties = node.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let is_required = required.contains(&name.as_str());
            if !is_required && !self.is_full(depth) {
                continue;
            }
            match self.sample(property, depth + 1) {
                Some(member) => drop(members.insert(name.clone(), member)),
                None if is_required => return None,
                None => {}
            }
        }
        Some(Value::Object(members))
    }
}

fn list<'s>(
    node: &'s Map<String, Value>,
    keyword: &str,
) -> impl Iterator<Item = &'s Value> + use<'s> {
    let values = node.get(keyword).and_then(Value::as_array);
    values.into_iter().flatten()
}

/// A lower limit on a length, or 0; `None` if it is too long for a sample.
fn limit(node: &Map<String, Value>, keyword: &str) -> Option<u64> {
    let limit = node.get(keyword).and_then(Value::as_u64).unwrap_or(0);
    (limit <= MAX_LENGTH).then_some(limit)
}

/// The members of both objects; otherwise the first value.
fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (one, _) => one,
    }
}

fn number(node: &Map<String, Value>) -> Value {
    let fits = |number: f64| {
        let limit = |keyword: &str| node.get(keyword).and_then(Value::as_f64);
        limit("minimum").is_none_or(|least| number >= least)
            && limit("maximum").is_none_or(|most| number <= most)
    };
    if fits(1.0) {
        return json!(1);
    }
    let limits = [node.get("minimum"), node.get("maximum")];
    limits
        .into_iter()
        .flatten()
        .next()
        .cloned()
        .unwrap_or(json!(0))
}

fn text(node: &Map<String, Value>) -> Option<String> {
    let text = match node.get("format").map(Value::as_str) {
        None => "a".repeat(usize::try_from(limit(node, "minLength")?.max(1)).ok()?),
        Some(Some("date-time" | "partial-date-time")) => "2026-01-02T03:04:05Z".to_owned(),
        Some(Some("date")) => "2026-01-02".to_owned(),
        Some(Some("email")) => "a@example.com".to_owned(),
        Some(Some("ip" | "ipv4")) => "127.0.0.1".to_owned(),
        Some(Some("ipv6")) => "::1".to_owned(),
        Some(Some("uri" | "url")) => "https://example.com/".to_owned(),
        Some(Some("uuid")) => "67e55044-10b1-426f-9247-bb680e5fe0c8".to_owned(),
        Some(_) => return None,
    };
    Some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::schema::validator::Validator;

    #[test]
    fn samples_fit_their_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 3},
                "count": {"type": ["integer", "null"], "minimum": 5},
                "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
                "pair": {"type": "array", "prefixItems": [{"type": "number"}, {"const": "x"}],
                         "minItems": 2, "maxItems": 2},
                "list": {"type": "array", "items": {"enum": ["a", "b"]}}
            },
            "oneOf": [{"type": "object", "properties": {"kind": {"const": "k"}}, "required": ["kind"]}],
            "required": ["name", "next", "pair"]
        });
        let found: Vec<Value> = samples(&schema).collect();
        assert_eq!(found.len(), 2);
        let validator = Validator::new(&schema).unwrap();
        for sample in &found {
            assert!(validator.problems(sample).is_empty(), "{sample}");
        }
        assert_eq!(found[0]["count"], 5);
        assert_eq!(
            found[1],
            json!({"kind": "k", "name": "aaa", "next": null, "pair": [1, "x"]})
        );
    }

    #[test]
    fn schema_that_takes_more_to_fit_has_no_sample() {
        for schema in [
            json!({"type": "string", "pattern": "^b$"}),
            json!({"type": "string", "format": "colour"}),
            json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
            json!(false),
        ] {
            assert_eq!(samples(&schema).count(), 0, "{schema}");
        }
    }
}
