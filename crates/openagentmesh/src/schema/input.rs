//! The schema of an input, compiled when it is first needed.

use std::panic::catch_unwind;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::budget::{count_values, exceeds_memory};
use super::fit::{Fit, compare, is_any};
use super::problem::Problems;
use super::rust_type::{SchemaText, input_schema};
use super::sample::samples;
use super::validator::{Validator, too_much_memory};

/// Bytes of an input up to which the check of a plain type is within its budget: even with an item every two bytes,
/// a type that exceeds it has more than a hundred properties and options for one value.
const MAX_UNCHECKED_BYTES: usize = 64 * 1024;

/// The schema of an input.
///
/// Deserialisation finds the violations of a plain type by itself. The validator checks all other schemas and
/// lists the violations, so it is compiled when it is first needed.
pub(crate) struct InputSchema {
    schema: SchemaText,
    exceeds_types: bool,
    /// Whether only the size of a value is checked: the schema allows every value, or the handler checks it.
    is_any: bool,
    validator: OnceLock<Result<Validator, String>>,
    /// Decodes an input of the type; the error is the reason of a refusal.
    decodes: Option<Decodes>,
    /// A name of a member that the type takes and the schema does not have.
    unknown_name: Option<&'static str>,
}

/// Decodes an input.
pub(crate) type Decodes = fn(&[u8]) -> Result<(), String>;

impl InputSchema {
    /// The schema of a `T`, which `decodes` takes.
    pub(crate) fn of<T: DeserializeOwned + JsonSchema>(decodes: Decodes) -> Self {
        let schema = input_schema::<T>();
        let Fit {
            is_enforced,
            unknown_name,
        } = compare::<T>(&schema);
        Self {
            decodes: Some(decodes),
            exceeds_types: !is_enforced,
            unknown_name,
            ..Self::new(&schema)
        }
    }

    pub(crate) fn new(schema: &Value) -> Self {
        Self {
            exceeds_types: false,
            is_any: is_any(schema),
            schema: SchemaText::new(schema),
            validator: OnceLock::new(),
            decodes: None,
            unknown_name: None,
        }
    }

    /// The schema of an input that no deserialisation checks.
    pub(crate) fn untyped(schema: &Value) -> Self {
        Self {
            exceeds_types: true,
            ..Self::new(schema)
        }
    }

    /// The schema of an input that the handler checks itself: the host checks only its size.
    pub(crate) fn declared(schema: &Value) -> Self {
        Self {
            is_any: true,
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

    /// Whether the check of `body` may exceed the budget. Only for a plain type: every other schema is checked.
    pub(crate) fn may_exceed_budget(&self, body: &[u8]) -> bool {
        body.len() > MAX_UNCHECKED_BYTES
            && !self.is_any
            && self
                .validator()
                .is_ok_and(|validator| !validator.allows_plain(count_values(body), body.len()))
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

    /// A name that the type takes and the schema does not have, for example from `#[serde(alias)]`.
    pub(crate) fn unknown_name(&self) -> Option<&'static str> {
        self.unknown_name
    }

    /// An input that the schema allows and the type refuses, with the reason, if a sample of the schema is one.
    /// Deserialisation may refuse any input, so that there can be others.
    pub(crate) fn refused_sample(&self) -> Option<(Value, String)> {
        let decodes = self.decodes?;
        // The schema of a plain type has no keyword that a sample could violate.
        let validator = match self.exceeds_types {
            true => Some(self.validator().ok()?),
            false => None,
        };
        let samples: Vec<Value> = samples(&self.to_value()).collect();
        samples.into_iter().find_map(|sample| {
            if validator.is_some_and(|validator| !validator.problems(&sample).is_empty()) {
                return None;
            }
            let body = sample.to_string();
            // A type's own deserialisation may panic; a request would report that.
            let decoded = catch_unwind(|| decodes(body.as_bytes()));
            let reason = decoded.ok()?.err()?;
            Some((sample, reason))
        })
    }

    /// The violations of the schema by `input`.
    ///
    /// # Errors
    ///
    /// The reason why values cannot be checked against the schema. For the schema of a Rust type that
    /// passed [`InputSchema::check`], deserialisation alone checks every restriction.
    pub(crate) fn problems(&self, input: &Value) -> Result<Problems, &str> {
        if self.is_any {
            // The host refuses such an input before it is decoded.
            return Ok(match exceeds_memory(input) {
                true => too_much_memory(),
                false => Problems::default(),
            });
        }
        Ok(self.validator()?.problems(input))
    }

    fn validator(&self) -> Result<&Validator, &str> {
        let compiled = self
            .validator
            .get_or_init(|| Validator::new(&self.to_value()));
        compiled.as_ref().map_err(String::as_str)
    }
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
        assert!(!InputSchema::of::<Plain>(|_| Ok(())).exceeds_types());
        assert!(!InputSchema::of::<String>(|_| Ok(())).exceeds_types());
        assert!(!InputSchema::of::<Value>(|_| Ok(())).exceeds_types());
        assert!(InputSchema::of::<Restricted>(|_| Ok(())).exceeds_types());
        assert!(InputSchema::of::<Vec<Option<Restricted>>>(|_| Ok(())).exceeds_types());
    }

    #[test]
    fn problems_are_all_listed_with_their_locations() {
        let problems = InputSchema::of::<Restricted>(|_| Ok(()))
            .problems(&json!({"text": "", "words": 11}))
            .unwrap();
        let found: Vec<_> = problems
            .listed
            .iter()
            .map(|p| (p.location.as_str(), p.rule.as_str()))
            .collect();
        assert_eq!(found, [("/text", "minLength"), ("/words", "maximum")]);

        let problems = InputSchema::of::<Plain>(|_| Ok(()))
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
