//! Tests of the validator.

mod formats;
mod hostile;
mod hostile_cases;
mod hostile_compilation;
mod keywords;
