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

pub(crate) use budget::{MAX_PARSED_BYTES, may_exceed_memory};
pub(crate) use input::InputSchema;
pub(crate) use integers::{has_limit, parse, without_fractions};
pub(crate) use problem::{Problem, Problems};
pub(crate) use report::{MAX_LOCATION_CHARS, MAX_MESSAGE_CHARS};
pub(crate) use rust_type::{SchemaText, any_schema, is_unit, output_schema};
pub(crate) use shorten::shorten;
pub(crate) use validator::{check_schema, too_much_memory};
