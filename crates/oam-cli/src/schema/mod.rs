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

pub(crate) use self::example::{Example, command_input, example};
pub(crate) use self::fields::{Field, Fields, fields};
pub(crate) use self::missing::missing_input;
