//! JSON Schemas of Rust types, and what an input violates of one.

use std::any::TypeId;
use std::sync::OnceLock;

use openagentmesh_protocol::{AgentName, ErrorCode};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::schema::validator::{Problem, Validator};

/// Whether `T` is `()`: nothing on the wire.
pub(crate) fn is_unit<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<()>()
}

/// The schema of what serialising a `T` gives; `None` when that is nothing.
pub(crate) fn output_schema<T: JsonSchema + 'static>() -> Option<SchemaText> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    (!is_unit::<T>()).then(|| SchemaText::new(&schema_of::<T>(settings)))
}

/// A schema as text, which takes a tenth of the memory and is rarely read.
#[derive(Clone)]
pub(crate) struct SchemaText(Box<str>);

impl SchemaText {
    fn new(schema: &Value) -> Self {
        Self(schema.to_string().into())
    }

    pub(crate) fn to_value(&self) -> Value {
        // What was written as JSON here can be read.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(root) = schema.as_object_mut() {
        root.remove("$schema");
        // The title of a struct is its name; that of `Vec<u8>` is "Array_of_uint8".
        let is_named = ["properties", "enum", "oneOf", "anyOf"]
            .iter()
            .any(|k| root.contains_key(*k));
        if !is_named {
            root.remove("title");
        }
    }
    schema
}

impl Problem {
    /// The error that tells a caller of agent `name` all `problems` of its input.
    pub(crate) fn error(name: &AgentName, problems: &[Self]) -> Error {
        const SHOWN: usize = 3;
        let described: Vec<String> = problems
            .iter()
            .take(SHOWN)
            .map(|problem| match problem.location.as_str() {
                "" => problem.message.clone(),
                location => format!("{location}: {}", problem.message),
            })
            .collect();
        let more = match problems.len().saturating_sub(described.len()) {
            0 => String::new(),
            more => format!("; and {more} more in details.errors"),
        };
        Error::raised(
            ErrorCode::InvalidInput,
            format!(
                "the input of agent '{name}' is invalid: {}{more}",
                described.join("; ")
            ),
        )
        .with_detail("errors", json!(problems))
    }
}

/// The schema of an input.
///
/// Deserialisation sees most violations by itself. The validator is for what it cannot see and
/// for listing every violation, so it is compiled when it is first needed.
pub(crate) struct InputSchema {
    schema: SchemaText,
    exceeds_types: bool,
    validator: OnceLock<Result<Validator, String>>,
}

impl InputSchema {
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().for_deserialize();
        Self::new(&schema_of::<T>(settings))
    }

    pub(crate) fn new(schema: &Value) -> Self {
        Self {
            exceeds_types: exceeds_types(schema),
            schema: SchemaText::new(schema),
            validator: OnceLock::new(),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        self.schema.to_value()
    }

    /// Whether it demands what deserialisation does not check: lengths, ranges, patterns.
    pub(crate) fn exceeds_types(&self) -> bool {
        self.exceeds_types
    }

    /// Whether it can be checked at all. Without restrictions, the types check.
    pub(crate) fn check(&self) -> Result<(), &str> {
        if self.exceeds_types {
            self.validator().map(|_| ())
        } else {
            Ok(())
        }
    }

    /// Everything that `input` violates.
    ///
    /// # Errors
    ///
    /// Why the schema is none. With a schema of Rust types that passed [`InputSchema::check`], this
    /// means that it only repeats the types.
    pub(crate) fn problems(&self, input: &Value) -> Result<Vec<Problem>, &str> {
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

fn exceeds_types(schema: &Value) -> bool {
    match schema {
        Value::Object(node) => {
            RESTRICTIONS
                .iter()
                .any(|keyword| node.contains_key(*keyword))
                || exceeds_integer_type(node)
                || node.iter().any(|(keyword, child)| match keyword.as_str() {
                    // What stands here is data, not schemas.
                    "const" | "default" | "enum" | "examples" | "required" => false,
                    "properties" | "$defs" => child
                        .as_object()
                        .is_some_and(|named| named.values().any(exceeds_types)),
                    _ => exceeds_types(child),
                })
        }
        Value::Array(nodes) => nodes.iter().any(exceeds_types),
        _ => false,
    }
}

/// Integer types have a range of their own, which their schemas repeat.
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
    fn only_restrictions_beyond_the_types_need_the_validator() {
        assert!(!InputSchema::of::<Plain>().exceeds_types());
        assert!(!InputSchema::of::<String>().exceeds_types());
        assert!(!InputSchema::of::<Value>().exceeds_types());
        assert!(InputSchema::of::<Restricted>().exceeds_types());
        assert!(InputSchema::of::<Vec<Option<Restricted>>>().exceeds_types());
    }

    #[test]
    fn every_problem_is_listed_with_its_location() {
        let problems = InputSchema::of::<Restricted>()
            .problems(&json!({"text": "", "words": 11}))
            .unwrap();
        let found: Vec<_> = problems
            .iter()
            .map(|p| (p.location.as_str(), p.rule.as_str()))
            .collect();
        assert_eq!(found, [("/text", "minLength"), ("/words", "maximum")]);

        let problems = InputSchema::of::<Plain>()
            .problems(&json!({"name": 1}))
            .unwrap();
        let mut found: Vec<_> = problems.iter().map(|p| p.location.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, ["/age", "/name", "/nested"]);
    }

    #[test]
    fn a_scalar_has_the_schema_that_other_sdks_write() {
        assert_eq!(
            InputSchema::of::<String>().to_value(),
            json!({"type": "string"})
        );
        let given = |schema: Option<SchemaText>| schema.map(|schema| schema.to_value());
        assert_eq!(
            given(output_schema::<bool>()),
            Some(json!({"type": "boolean"}))
        );
        assert_eq!(given(output_schema::<()>()), None);
    }
}
