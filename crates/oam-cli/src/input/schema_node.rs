//! A place in a JSON Schema, as far as the types of fields depend on it.

use serde_json::Value;
use serde_json::value::RawValue;

/// The number of alternatives of one place that are regarded, and of the schemas that are visited for them. Schemas
/// come from the mesh, and may refer to themselves.
const MAX_ALTERNATIVES: usize = 64;
const MAX_VISITS: usize = 1_000;

/// The number of values that a message lists.
const MAX_LISTED_VALUES: usize = 10;

/// Keywords by which a schema describes its values itself, and not by other schemas.
const OWN_KEYWORDS: [&str; 9] = [
    "type",
    "enum",
    "const",
    "properties",
    "additionalProperties",
    "patternProperties",
    "required",
    "items",
    "prefixItems",
];

/// Keywords that refer to further schemas of the same value.
const COMBINATORS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The schemas of the values at one place. A value may be one of any of them; the validation of the whole input has the
/// last word.
#[derive(Debug, Clone)]
pub(super) struct SchemaNode<'s> {
    root: &'s Value,
    alternatives: Vec<&'s Value>,
}

impl<'s> SchemaNode<'s> {
    /// The place of the whole value.
    pub(super) fn root(schema: &'s Value) -> Self {
        Self::of(schema, [schema])
    }

    fn of(root: &'s Value, schemas: impl IntoIterator<Item = &'s Value>) -> Self {
        let mut node = Self {
            root,
            alternatives: Vec::new(),
        };
        let mut visits = 0;
        let mut pending: Vec<&Value> = schemas.into_iter().collect();
        pending.reverse();
        while let Some(schema) = pending.pop() {
            visits += 1;
            if visits > MAX_VISITS || node.alternatives.len() >= MAX_ALTERNATIVES {
                break;
            }
            let mut refers = false;
            for list in COMBINATORS.iter().rev() {
                if let Some(Value::Array(schemas)) = schema.get(list) {
                    refers = true;
                    pending.extend(schemas.iter().rev().take(MAX_VISITS));
                }
            }
            if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
                refers = true;
                let pointer = target.strip_prefix('#');
                pending.extend(pointer.and_then(|pointer| root.pointer(pointer)));
            }
            let describes = OWN_KEYWORDS.iter().any(|key| schema.get(key).is_some());
            if describes || !(refers || schema == &Value::Bool(false)) {
                node.alternatives.push(schema);
            }
        }
        node
    }

    fn child(&self, schemas: Vec<&'s Value>) -> Self {
        Self::of(self.root, schemas)
    }

    /// The place of the member `name`; `None` if an object here has no such member. A schema with a list of members that
    /// does not mention others does not forbid them, but a mistyped name is the likely cause.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let objects = || self.of_type("object");
        let declared: Vec<_> = objects()
            .filter_map(|schema| schema.get("properties")?.get(name))
            .collect();
        if !declared.is_empty() {
            return Some(self.child(declared));
        }
        let others: Vec<_> = objects().filter_map(other_members).collect();
        (!others.is_empty()).then(|| self.child(others))
    }

    /// The names of the members that the schema lists.
    pub(super) fn names(&self) -> impl Iterator<Item = &'s str> {
        let properties = self
            .of_type("object")
            .filter_map(|schema| schema.get("properties")?.as_object());
        properties.flat_map(|members| members.keys().map(String::as_str))
    }

    /// The place of an element; `index` counts from 0, and is `None` for one that is appended.
    pub(super) fn element(&self, index: Option<usize>) -> Self {
        const ANY: &Value = &Value::Bool(true);
        let element = |schema: &'s Value| {
            let prefix = index.and_then(|index| schema.get("prefixItems")?.get(index));
            prefix.or_else(|| schema.get("items")).unwrap_or(ANY)
        };
        self.child(self.of_type("array").map(element).collect())
    }

    /// Whether a value here may be of `kind`, a type of JSON Schema.
    pub(super) fn takes(&self, kind: &str) -> bool {
        self.of_type(kind).next().is_some()
    }

    /// Whether a value here consists of others.
    pub(super) fn takes_container(&self) -> bool {
        self.takes("object") || self.takes("array")
    }

    /// `text` as a value of this place that has no members or elements: one of the listed values, else text where text is
    /// allowed, else what it reads as. `None` if it fits no type.
    pub(super) fn scalar(&self, text: &str) -> Option<Box<RawValue>> {
        let listed = self.alternatives.iter().flat_map(|schema| values(schema));
        for value in listed {
            let json = value.to_string();
            let is_meant = match value {
                Value::String(value) => value == text || value == text.trim(),
                _ => json == text.trim(),
            };
            if is_meant {
                return RawValue::from_string(json).ok();
            }
        }
        let takes = |kind: &'static str| self.of_type(kind).any(|schema| values(schema).is_empty());
        if takes("string") {
            return RawValue::from_string(Value::from(text).to_string()).ok();
        }
        // A file ends with a line break.
        let text = text.trim();
        let fits = match text {
            "true" | "false" => takes("boolean"),
            "null" => takes("null"),
            _ if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => false,
            _ => takes("number") || (takes("integer") && is_whole(text)),
        };
        fits.then(|| RawValue::from_string(text.to_owned()).ok())?
    }

    /// The values of this place, for a message.
    pub(super) fn expected(&self) -> String {
        let values: Vec<_> = self
            .alternatives
            .iter()
            .flat_map(|schema| values(schema))
            .collect();
        let mut expected = Vec::new();
        if !values.is_empty() {
            let listed: Vec<_> = values
                .iter()
                .take(MAX_LISTED_VALUES)
                .map(ToString::to_string)
                .collect();
            let more = if values.len() > MAX_LISTED_VALUES {
                ", …"
            } else {
                ""
            };
            expected.push(format!("one of {}{more}", listed.join(", ")));
        }
        for (kind, shown) in [
            ("string", "text"),
            ("integer", "an integer"),
            ("number", "a number"),
            ("boolean", "true or false"),
            ("array", "an array"),
            ("object", "an object"),
            ("null", "null"),
        ] {
            let free = || self.of_type(kind).any(|schema| values_of(schema).is_none());
            // An integer is a number as well.
            let is_repeated = kind == "integer"
                && self.takes("number")
                && self
                    .of_type("number")
                    .any(|schema| values_of(schema).is_none());
            if free() && !is_repeated {
                expected.push(shown.to_owned());
            }
        }
        if expected.is_empty() {
            return "no value".to_owned();
        }
        expected.join(" or ")
    }

    fn of_type(&self, kind: &str) -> impl Iterator<Item = &'s Value> {
        self.alternatives
            .iter()
            .copied()
            .filter(move |schema| has_type(schema, kind))
    }
}

/// Whether values of a schema may be of `kind`, a type of JSON Schema.
fn has_type(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => return one == kind,
        Some(Value::Array(several)) => return several.iter().any(|one| one == kind),
        _ => {}
    }
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| schema.get(keyword).is_some());
    if let Some(values) = values_of(schema) {
        return values.iter().any(|value| is_of_type(value, kind));
    }
    let is_object = has(&[
        "properties",
        "additionalProperties",
        "patternProperties",
        "required",
    ]);
    let is_array = has(&["items", "prefixItems"]);
    match kind {
        "object" => is_object || !is_array,
        "array" => is_array || !is_object,
        _ => !is_object && !is_array,
    }
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Number(_) => matches!(kind, "integer" | "number"),
        Value::String(_) => kind == "string",
        Value::Array(_) => kind == "array",
        Value::Object(_) => kind == "object",
    }
}

/// The values that a schema lists.
fn values_of(schema: &Value) -> Option<&[Value]> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(std::slice::from_ref(value)),
        (None, Some(Value::Array(values))) => Some(values),
        _ => None,
    }
}

fn values(schema: &Value) -> &[Value] {
    values_of(schema).unwrap_or_default()
}

/// The schema of the members of an object that it does not list by name.
fn other_members(schema: &Value) -> Option<&Value> {
    const ANY: &Value = &Value::Bool(true);
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => None,
        Some(others) => Some(others),
        None if schema.get("patternProperties").is_some() => Some(ANY),
        None => {
            let is_listed = schema.get("properties").is_some()
                || schema.get("$ref").is_some()
                || COMBINATORS.iter().any(|list| schema.get(list).is_some());
            (!is_listed).then_some(ANY)
        }
    }
}

fn is_whole(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    digits.bytes().all(|byte| byte.is_ascii_digit())
        || number
            .parse::<f64>()
            .is_ok_and(|number| number.fract() == 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::SchemaNode;

    fn scalar(schema: &Value, text: &str) -> Option<String> {
        let value = SchemaNode::root(schema).scalar(text);
        value.map(|value| value.get().to_owned())
    }

    #[test]
    fn text_gets_the_type_of_the_schema() {
        for (schema, text, expected) in [
            (json!({"type": "string"}), "3", Some("\"3\"")),
            (json!({"type": "string"}), "", Some("\"\"")),
            (json!({"type": "integer"}), "3", Some("3")),
            (json!({"type": "integer"}), "-3", Some("-3")),
            (json!({"type": "integer"}), "1e3", Some("1e3")),
            (
                json!({"type": "integer"}),
                "123456789012345678901234567890",
                Some("123456789012345678901234567890"),
            ),
            (json!({"type": "integer"}), "3.5", None),
            (json!({"type": "integer"}), "three", None),
            (json!({"type": "integer"}), "", None),
            (json!({"type": "number"}), "1.50", Some("1.50")),
            (json!({"type": "number"}), "+1", None),
            (json!({"type": "number"}), ".5", None),
            (json!({"type": "number"}), "NaN", None),
            (json!({"type": "number"}), "1 2", None),
            (json!({"type": "integer"}), "7\n", Some("7")),
            (json!({"enum": ["low", 3, true]}), "low\n", Some("\"low\"")),
            (json!({"type": "boolean"}), "true", Some("true")),
            (json!({"type": "boolean"}), "yes", None),
            (json!({"type": ["integer", "null"]}), "null", Some("null")),
            (
                json!({"type": ["string", "null"]}),
                "null",
                Some("\"null\""),
            ),
            (json!({"type": ["string", "integer"]}), "5", Some("\"5\"")),
            (json!({"enum": ["low", 3, true]}), "low", Some("\"low\"")),
            (json!({"enum": ["low", 3, true]}), "3", Some("3")),
            (json!({"enum": ["low", 3, true]}), "true", Some("true")),
            (json!({"enum": ["low", 3, true]}), "4", None),
            (json!({"type": "string", "enum": ["low"]}), "high", None),
            (json!({"const": 1}), "1", Some("1")),
            (
                json!({"anyOf": [{"enum": ["auto"]}, {"type": "integer"}]}),
                "5",
                Some("5"),
            ),
            (
                json!({"anyOf": [{"enum": ["auto"]}, {"type": "integer"}]}),
                "auto",
                Some("\"auto\""),
            ),
            (
                json!({"$ref": "#/$defs/N", "$defs": {"N": {"type": "number"}}}),
                "5",
                Some("5"),
            ),
            (
                json!({"allOf": [{"type": "number"}], "description": "x"}),
                "5",
                Some("5"),
            ),
            (json!({}), "5", Some("\"5\"")),
            (json!(true), "5", Some("\"5\"")),
            (json!(false), "5", None),
            (json!({"type": "object"}), "5", None),
            (json!({"$ref": "#"}), "5", None),
        ] {
            assert_eq!(
                scalar(&schema, text).as_deref(),
                expected,
                "{schema}: {text}"
            );
        }
    }

    #[test]
    fn member_is_declared_open_or_unknown() {
        let listed = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        let node = SchemaNode::root(&listed);
        assert!(node.member("a").is_some());
        assert!(node.member("b").is_none());
        for open in [
            json!({}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}, "additionalProperties": true}),
            json!({"additionalProperties": {"type": "string"}}),
            json!({"properties": {}, "patternProperties": {"^b$": {}}}),
        ] {
            assert!(SchemaNode::root(&open).member("b").is_some(), "{open}");
        }
        for closed in [
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": "string"}),
            json!({"type": "object", "oneOf": [{"properties": {"a": {}}}]}),
        ] {
            assert!(SchemaNode::root(&closed).member("b").is_none(), "{closed}");
        }
    }

    #[test]
    fn schema_that_refers_to_itself_is_read_in_bounded_time() {
        let references = vec![json!({"$ref": "#"}); 500];
        let schema = json!({"anyOf": references, "allOf": [{"$ref": "#/anyOf/3"}]});
        assert_eq!(scalar(&schema, "5"), None);
    }

    #[test]
    fn expected_values_are_listed() {
        for (schema, expected) in [
            (json!({"type": "integer"}), "an integer"),
            (
                json!({"type": ["boolean", "null"]}),
                "true or false or null",
            ),
            (json!({"enum": ["a", 1]}), "one of \"a\", 1"),
            (
                json!({"anyOf": [{"enum": ["auto"]}, {"type": "number"}]}),
                "one of \"auto\" or a number",
            ),
            (json!(false), "no value"),
        ] {
            assert_eq!(SchemaNode::root(&schema).expected(), expected, "{schema}");
        }
    }
}
