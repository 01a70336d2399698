//! Fuzz harnesses of the parsers whose input comes from other processes. See the README.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a target panics when it finds a fault"
)]

mod corpus;
mod mutate;
mod run;
mod targets;

pub use corpus::Corpus;
pub use mutate::Mutator;
pub use run::{Failure, check, fuzz};
pub use targets::{TARGETS, Target};
