//! Checks values against JSON Schemas: draft 2020-12, and what earlier drafts wrote differently.
//!
//! `compile` makes `rule`s of a schema, `check` applies them, `number`, `value` and `pattern` know what
//! JSON means by its own, `message` has the words. Formats are not checked, and nothing is fetched:
//! a schema refers to its own parts only ([ADR 10](../../../../docs/adr/0010-a-validator-of-our-own.md)).

mod check;
mod compile;
mod message;
mod number;
mod pattern;
mod rule;
#[cfg(test)]
mod tests;
mod value;

use serde::Serialize;
use serde_json::Value;

use check::Check;
use rule::Schema;

/// One way in which a value violates its schema.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    /// Where in the value, as a JSON pointer.
    pub(crate) location: String,
    pub(crate) message: String,
    /// The keyword of the schema that is violated.
    pub(crate) rule: String,
}

/// A schema that values can be checked against.
pub(crate) struct Validator(Schema);

impl Validator {
    /// # Errors
    ///
    /// Where `schema` is none, and why.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        compile::compile(schema).map(Self)
    }

    /// Everything that `value` violates.
    pub(crate) fn problems(&self, value: &Value) -> Vec<Problem> {
        Check::new(&self.0).problems(value)
    }
}
