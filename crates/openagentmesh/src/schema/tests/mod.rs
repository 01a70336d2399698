//! Tests of the validator.

mod hostile;
mod keywords;
