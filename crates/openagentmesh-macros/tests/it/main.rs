//! The tests of the attribute `#[agent]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compile_errors;
