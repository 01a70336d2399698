//! JSON Schemas as far as a judge needs them: samples, and violations that are certain.
//!
//! The validator ignores keywords that it does not know, and stops after a number of steps. It therefore accepts too much
//! rather than too little, and a hostile schema costs little.

use serde_json::{Map, Value, json};

/// The limits of one validation or sample.
const MAX_STEPS: usize = 100_000;
const MAX_DEPTH: usize = 64;

/// The first violation of `schema` by `value`, as `location: problem`.
pub(crate) fn violation(schema: &Value, value: &Value) -> Option<String> {
    let mut steps = MAX_STEPS;
    let (root, at) = (schema, String::new());
    Walk {
        root,
        steps: &mut steps,
    }
    .check(schema, value, &at, 0)
}

/// A value that `schema` accepts; `None` where none is known.
pub(crate) fn sample(schema: &Value) -> Option<Value> {
    let mut steps = MAX_STEPS;
    let value = Walk {
        root: schema,
        steps: &mut steps,
    }
    .sample(schema, 0)?;
    violation(schema, &value).is_none().then_some(value)
}

/// A value that `schema` certainly refuses; `None` where none is known.
pub(crate) fn counterexample(schema: &Value) -> Option<Value> {
    let candidates = [
        json!(null),
        json!([[]]),
        json!({"conform-violation": [[]]}),
        json!("\u{1}"),
        json!(-0.5),
        json!(true),
    ];
    candidates
        .into_iter()
        .find(|value| violation(schema, value).is_some())
}

struct Walk<'s> {
    root: &'s Value,
    steps: &'s mut usize,
}

impl<'s> Walk<'s> {
    fn is_over(&mut self, depth: usize) -> bool {
        *self.steps = self.steps.saturating_sub(1);
        *self.steps == 0 || depth > MAX_DEPTH
    }

    /// The target of a local reference.
    fn resolve(&self, reference: &str) -> Option<&'s Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }

    fn check(
        &mut self,
        schema: &'s Value,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Option<String> {
        if self.is_over(depth) {
            return None;
        }
        let schema = match schema {
            Value::Bool(false) => return Some(format!("{}: no value is allowed", place(at))),
            Value::Object(schema) => schema,
            _ => return None,
        };
        let fails = |problem: String| Some(format!("{}: {problem}", place(at)));
        if let Some(target) = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|to| self.resolve(to))
            && let Some(found) = self.check(target, value, at, depth + 1)
        {
            return Some(found);
        }
        if let Some(kinds) = schema.get("type")
            && !types(kinds).any(|kind| is_of(kind, value))
        {
            return fails(format!("expected {kinds}"));
        }
        if let Some(Value::Array(allowed)) = schema.get("enum")
            && !allowed.iter().any(|allowed| is_same(allowed, value))
        {
            return fails("not one of the allowed values".to_owned());
        }
        if let Some(constant) = schema.get("const")
            && !is_same(constant, value)
        {
            return fails(format!("expected {constant}"));
        }
        if let Some(problem) = range(schema, value) {
            return fails(problem);
        }
        for (keyword, needs_all) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
            let Some(Value::Array(parts)) = schema.get(keyword) else {
                continue;
            };
            let mut found = parts
                .iter()
                .map(|part| self.check(part, value, at, depth + 1));
            let found = match needs_all {
                true => found.flatten().next(),
                // An empty list of alternatives is not valid.
                false => found.try_fold(None, |_, found| found.map(Some)).flatten(),
            };
            if found.is_some() {
                return found;
            }
        }
        match value {
            Value::Object(members) => self.check_members(schema, members, at, depth),
            Value::Array(items) => {
                let first = schema.get("prefixItems").and_then(Value::as_array);
                items.iter().enumerate().find_map(|(index, item)| {
                    let own = first.and_then(|first| first.get(index));
                    let own = own.or_else(|| schema.get("items"))?;
                    self.check(own, item, &format!("{at}/{index}"), depth + 1)
                })
            }
            _ => None,
        }
    }

    fn check_members(
        &mut self,
        schema: &'s Map<String, Value>,
        members: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Option<String> {
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.into_iter().flatten().filter_map(Value::as_str);
        if let Some(missing) = required
            .into_iter()
            .find(|name| !members.contains_key(*name))
        {
            return Some(format!("{}: '{missing}' is missing", place(at)));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let has_patterns = schema.contains_key("patternProperties");
        members.iter().find_map(|(name, member)| {
            let own = properties.and_then(|properties| properties.get(name));
            let own = match own {
                None if has_patterns => return None,
                None => schema.get("additionalProperties")?,
                Some(own) => own,
            };
            self.check(own, member, &format!("{at}/{name}"), depth + 1)
        })
    }

    fn sample(&mut self, schema: &'s Value, depth: usize) -> Option<Value> {
        if self.is_over(depth) {
            return None;
        }
        let schema = match schema {
            Value::Bool(true) => return Some(json!({})),
            Value::Object(schema) => schema,
            _ => return None,
        };
        for keyword in ["const", "default"] {
            if let Some(value) = schema.get(keyword).filter(|value| !value.is_null()) {
                return Some(value.clone());
            }
        }
        for keyword in ["examples", "enum"] {
            if let Some(value) = schema.get(keyword).and_then(|values| values.get(0)) {
                return Some(value.clone());
            }
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.sample(self.resolve(reference)?, depth + 1);
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            if let Some(Value::Array(parts)) = schema.get(keyword) {
                return parts.iter().find_map(|part| {
                    self.sample(part, depth + 1)
                        .filter(|value| !value.is_null())
                });
            }
        }
        let kind = schema
            .get("type")
            .and_then(|kinds| types(kinds).find(|kind| *kind != "null"));
        match kind {
            Some("string") => text(schema).map(Value::String),
            Some("integer") => number(schema).map(|number| json!(number.ceil() as i64)),
            Some("number") => number(schema).map(|number| json!(number)),
            Some("boolean") => Some(json!(true)),
            Some("array") => {
                let least = schema
                    .get("minItems")
                    .and_then(Value::as_u64)
                    .unwrap_or(0)
                    .min(1000);
                let first = schema.get("prefixItems").and_then(Value::as_array);
                let count = first
                    .map_or(0, Vec::len)
                    .max(usize::try_from(least).unwrap_or(0));
                let item = |index: usize| {
                    let own = first
                        .and_then(|first| first.get(index))
                        .or_else(|| schema.get("items"));
                    own.map_or(Some(json!(index)), |own| self.sample(own, depth + 1))
                };
                (0..count)
                    .map(item)
                    .collect::<Option<Vec<_>>>()
                    .map(Value::Array)
            }
            Some("object") => {
                let mut members = Map::new();
                let required = schema.get("required").and_then(Value::as_array);
                for name in required.into_iter().flatten().filter_map(Value::as_str) {
                    let own = schema
                        .get("properties")
                        .and_then(|properties| properties.get(name));
                    let member = own.map_or(Some(json!({})), |own| self.sample(own, depth + 1))?;
                    members.insert(name.to_owned(), member);
                }
                Some(Value::Object(members))
            }
            Some(_) => None,
            None if types(schema.get("type")?).next().is_some() => Some(Value::Null),
            None => Some(json!({})),
        }
    }
}

fn place(at: &str) -> &str {
    if at.is_empty() { "value" } else { at }
}

fn types(kinds: &Value) -> impl Iterator<Item = &str> {
    let list = kinds.as_array().into_iter().flatten();
    kinds
        .as_str()
        .into_iter()
        .chain(list.filter_map(Value::as_str))
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => true,
    }
}

/// Equality with 1 and 1.0 as one number.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// The problem of a value that is too small or too large.
fn range(schema: &Map<String, Value>, value: &Value) -> Option<String> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let (least, most, size) = match value {
        Value::String(text) => ("minLength", "maxLength", text.chars().count() as f64),
        Value::Array(items) => ("minItems", "maxItems", items.len() as f64),
        Value::Object(members) => ("minProperties", "maxProperties", members.len() as f64),
        Value::Number(number) => ("minimum", "maximum", number.as_f64()?),
        _ => return None,
    };
    if let Some(limit) = limit(least).filter(|limit| size < *limit) {
        return Some(format!("{least} is {limit}"));
    }
    if let Some(limit) = limit(most).filter(|limit| size > *limit) {
        return Some(format!("{most} is {limit}"));
    }
    if value.is_number() {
        if let Some(limit) = limit("exclusiveMinimum").filter(|limit| size <= *limit) {
            return Some(format!("exclusiveMinimum is {limit}"));
        }
        if let Some(limit) = limit("exclusiveMaximum").filter(|limit| size >= *limit) {
            return Some(format!("exclusiveMaximum is {limit}"));
        }
    }
    None
}

/// A text within the limits of its schema; `None` for one with a pattern, which is not evaluated.
fn text(schema: &Map<String, Value>) -> Option<String> {
    if schema.contains_key("pattern") {
        return None;
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str) {
        let known = match format {
            "date-time" => "2026-01-02T03:04:05Z",
            "date" => "2026-01-02",
            "time" => "03:04:05Z",
            "duration" => "PT1S",
            "email" => "conform@example.com",
            "uri" | "url" => "https://example.com/",
            "hostname" => "example.com",
            "ipv4" => "127.0.0.1",
            "ipv6" => "::1",
            "uuid" => "7b8e3a52-4c1d-4e0f-9a6b-2d3c4b5a6978",
            _ => return None,
        };
        return Some(known.to_owned());
    }
    let limit = |keyword: &str, default: u64| {
        let limit = schema
            .get(keyword)
            .and_then(Value::as_u64)
            .unwrap_or(default);
        usize::try_from(limit.min(100_000)).unwrap_or(100_000)
    };
    let mut text = "conform ".repeat(limit("minLength", 7) / 8 + 1);
    text.truncate(
        limit("minLength", 7)
            .max(7)
            .min(limit("maxLength", 100_000)),
    );
    Some(text)
}

fn number(schema: &Map<String, Value>) -> Option<f64> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let step = schema
        .get("multipleOf")
        .and_then(Value::as_f64)
        .unwrap_or(1.0);
    let least = limit("exclusiveMinimum").map(|limit| limit.floor() + 1.0);
    let least = least.or(limit("minimum")).unwrap_or(f64::MIN);
    let most = limit("exclusiveMaximum").map(|limit| limit.ceil() - 1.0);
    let most = most.or(limit("maximum")).unwrap_or(f64::MAX);
    let preferred = [5.0, 1.0, 0.0, least, most, (least / step).ceil() * step];
    preferred.into_iter().find(|number| {
        *number >= least && *number <= most && number.is_finite() && number % step == 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_of_a_schema_is_valid() {
        for schema in [
            json!({"type": "string", "minLength": 20}),
            json!({"type": "integer", "minimum": 10, "maximum": 12}),
            json!({"type": ["null", "number"], "exclusiveMinimum": 0.5}),
            json!({"type": "object", "required": ["a", "b"], "properties": {
                "a": {"$ref": "#/$defs/A"}, "b": {"type": "array", "items": {"type": "boolean"}, "minItems": 2}},
                "$defs": {"A": {"enum": ["x", "y"]}}}),
            json!({"anyOf": [{"type": "null"}, {"type": "string", "format": "uuid"}]}),
            json!(true),
        ] {
            let value = sample(&schema).unwrap_or_else(|| panic!("{schema}"));
            assert_eq!(violation(&schema, &value), None, "{schema}: {value}");
        }
    }

    #[test]
    fn counterexample_violates_its_schema() {
        for schema in [
            json!({"type": "string"}),
            json!({"type": "string", "minLength": 3}),
            json!({"type": "object", "additionalProperties": false}),
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ] {
            assert!(counterexample(&schema).is_some(), "{schema}");
        }
        assert_eq!(counterexample(&json!({})), None);
    }

    #[test]
    fn hostile_schema_ends() {
        let circle = json!({"$ref": "#"});
        assert_eq!(sample(&circle), None);
        assert_eq!(violation(&circle, &json!(1)), None);
        let wide = json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]});
        assert_eq!(violation(&wide, &json!(1)), None);
    }
}
