//! The schema of an input, compiled when it is first needed.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fit::enforces;
use super::problem::Problems;
use super::rust_type::{SchemaText, input_schema};
use super::validator::Validator;

/// The schema of an input.
///
/// Deserialisation finds the violations of a plain type by itself. The validator checks all other schemas and
/// lists the violations, so it is compiled when it is first needed.
pub(crate) struct InputSchema {
    schema: SchemaText,
    exceeds_types: bool,
    /// Whether the schema has lengths, ranges, patterns and the like.
    is_restricted: bool,
    validator: OnceLock<Result<Validator, String>>,
}

impl InputSchema {
    pub(crate) fn of<T: DeserializeOwned + JsonSchema>() -> Self {
        let schema = input_schema::<T>();
        Self {
            exceeds_types: !enforces::<T>(&schema),
            is_restricted: is_restricted(&schema),
            ..Self::new(&schema)
        }
    }

    pub(crate) fn new(schema: &Value) -> Self {
        Self {
            exceeds_types: false,
            is_restricted: true,
            schema: SchemaText::new(schema),
            validator: OnceLock::new(),
        }
    }

    /// The schema of an input that no deserialisation checks.
    pub(crate) fn untyped(schema: &Value) -> Self {
        Self {
            exceeds_types: true,
            ..Self::new(schema)
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        self.schema.to_value()
    }

    /// Whether deserialisation may take values that the schema forbids, for example because of a length, a
    /// range or a pattern.
    pub(crate) fn exceeds_types(&self) -> bool {
        self.exceeds_types
    }

    /// Whether deserialisation decides about a value that exceeds the budget of the validator. Nested
    /// alternatives of a recursive type may exceed it.
    pub(crate) fn may_exceed_budget(&self) -> bool {
        !self.is_restricted
    }

    /// Compiles the validator, if deserialisation alone does not check every restriction.
    ///
    /// # Errors
    ///
    /// The reason why values cannot be checked against the schema.
    pub(crate) fn check(&self) -> Result<(), &str> {
        if self.exceeds_types {
            self.validator().map(|_| ())
        } else {
            Ok(())
        }
    }

    /// The violations of the schema by `input`.
    ///
    /// # Errors
    ///
    /// The reason why values cannot be checked against the schema. For the schema of a Rust type that
    /// passed [`InputSchema::check`], deserialisation alone checks every restriction.
    pub(crate) fn problems(&self, input: &Value) -> Result<Problems, &str> {
        Ok(self.validator()?.problems(input))
    }

    fn validator(&self) -> Result<&Validator, &str> {
        let compiled = self
            .validator
            .get_or_init(|| Validator::new(&self.to_value()));
        compiled.as_ref().map_err(String::as_str)
    }
}

/// Keywords that restrict values in a way that a Rust type does not.
const RESTRICTIONS: &[&str] = &[
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "if",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
    "not",
    "pattern",
    "propertyNames",
    "uniqueItems",
];

fn is_restricted(schema: &Value) -> bool {
    match schema {
        Value::Object(node) => {
            RESTRICTIONS
                .iter()
                .any(|keyword| node.contains_key(*keyword))
                || exceeds_integer_type(node)
                || node.iter().any(|(keyword, child)| match keyword.as_str() {
                    // The values of these keywords are data, not schemas.
                    "const" | "default" | "enum" | "examples" | "required" => false,
                    "properties" | "$defs" => child
                        .as_object()
                        .is_some_and(|named| named.values().any(is_restricted)),
                    _ => is_restricted(child),
                })
        }
        Value::Array(nodes) => nodes.iter().any(is_restricted),
        _ => false,
    }
}

/// Whether `node` has a range that is narrower than that of its integer type.
fn exceeds_integer_type(node: &Map<String, Value>) -> bool {
    let own_minimum = match node.get("format").and_then(Value::as_str) {
        Some(format) if format.starts_with("uint") => Some(0),
        Some("int8") => Some(i64::from(i8::MIN)),
        Some("int16") => Some(i64::from(i16::MIN)),
        _ => None,
    };
    let own_maximum = match node.get("format").and_then(Value::as_str) {
        Some("int8") => Some(i64::from(i8::MAX)),
        Some("int16") => Some(i64::from(i16::MAX)),
        Some("uint8") => Some(i64::from(u8::MAX)),
        Some("uint16") => Some(i64::from(u16::MAX)),
        _ => None,
    };
    let exceeds = |keyword: &str, own: Option<i64>| {
        node.get(keyword)
            .is_some_and(|limit| own.is_none() || limit.as_i64() != own)
    };
    exceeds("minimum", own_minimum) || exceeds("maximum", own_maximum)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only the schema is looked at")]
    struct Plain {
        name: String,
        age: u8,
        big: Option<u64>,
        nested: Vec<Vec<i16>>,
    }

    #[derive(serde::Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only the schema is looked at")]
    struct Restricted {
        #[schemars(length(min = 1))]
        text: String,
        #[schemars(range(max = 10))]
        words: u32,
    }

    #[test]
    fn schema_exceeds_types_only_with_restrictions() {
        assert!(!InputSchema::of::<Plain>().exceeds_types());
        assert!(!InputSchema::of::<String>().exceeds_types());
        assert!(!InputSchema::of::<Value>().exceeds_types());
        assert!(InputSchema::of::<Restricted>().exceeds_types());
        assert!(InputSchema::of::<Vec<Option<Restricted>>>().exceeds_types());
    }

    #[test]
    fn problems_are_all_listed_with_their_locations() {
        let problems = InputSchema::of::<Restricted>()
            .problems(&json!({"text": "", "words": 11}))
            .unwrap();
        let found: Vec<_> = problems
            .listed
            .iter()
            .map(|p| (p.location.as_str(), p.rule.as_str()))
            .collect();
        assert_eq!(found, [("/text", "minLength"), ("/words", "maximum")]);

        let problems = InputSchema::of::<Plain>()
            .problems(&json!({"name": 1}))
            .unwrap();
        let mut found: Vec<_> = problems
            .listed
            .iter()
            .map(|p| p.location.as_str())
            .collect();
        found.sort_unstable();
        assert_eq!(found, ["/age", "/name", "/nested"]);
    }
}
