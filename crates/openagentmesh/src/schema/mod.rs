//! JSON Schemas of Rust types, and validation of inputs against a schema.

mod budget;
mod fit;
mod input;
mod integers;
mod pattern;
mod prepare;
mod problem;
mod report;
mod rust_type;
mod sample;
mod shorten;
#[cfg(test)]
mod tests;
mod validator;

pub(crate) use budget::MAX_VALUES;
pub(crate) use input::InputSchema;
pub(crate) use integers::{has_limit, parse, without_fractions};
pub(crate) use problem::{Problem, Problems};
pub(crate) use rust_type::{SchemaText, any_schema, is_unit, output_schema};
pub(crate) use validator::{check_schema, too_many_values};
