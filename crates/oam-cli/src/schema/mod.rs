//! A contract's JSON Schema for people: its fields, an example, and the error of a missing input.
//!
//! A schema is a text of the mesh: circles, depth, breadth and long texts cost a bounded number of steps, and references
//! lead to parts of the same schema only.

mod example;
mod fields;
mod kind;
mod missing;
mod node;
mod number;
mod string;

#[cfg(test)]
mod tests;

#[allow(unused_imports, reason = "the input of a request uses it")]
pub(crate) use self::example::example;
pub(crate) use self::example::{Example, command_input};
pub(crate) use self::fields::{Field, Fields, fields};
#[allow(unused_imports, reason = "the input of a request uses it")]
pub(crate) use self::missing::missing_input;
