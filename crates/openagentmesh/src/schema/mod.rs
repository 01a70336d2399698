//! Rust types as JSON Schemas, and validation of inputs against a schema.

mod input;
mod validator;

pub(crate) use input::{InputSchema, SchemaText, is_unit, output_schema};
pub(crate) use validator::Problem;
