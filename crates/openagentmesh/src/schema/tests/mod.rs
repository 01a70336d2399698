//! Tests of the validator.

mod hostile;
mod hostile_compilation;
mod keywords;
