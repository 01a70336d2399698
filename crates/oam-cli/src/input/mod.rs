//! The inputs of commands: bytes of stdin or a file, texts, and objects that are written as fields.

mod field;
mod fields;
mod key;
mod schema_node;
mod source;
mod text;
mod tree;

pub(crate) use self::field::Field;
pub(crate) use self::fields::{NoObject, Problem, object};
pub(crate) use self::source::Source;
pub(crate) use self::text::{text, without_mark};
