//! A bound on the cost of a validation, computed before the library `jsonschema` runs.
//!
//! The library checks every alternative and every item, so that the time and memory for a schema of
//! 3 kB can be exponential. The budget counts the library's steps without taking them:
//!
//! 1. `limits` refuses schemas that are too large or nested too deep.
//! 2. `graph` resolves every reference and collects, for each subschema, the subschemas that apply to
//!    the same value and those that apply to its parts. `pattern` measures compiled patterns. `tagged`
//!    finds alternatives that the library selects by the text of a property.
//! 3. `in_place` refuses circles and schemas with which a single value takes too many steps.
//!    `compilation` refuses schemas that the library compiles too often.
//! 4. `walk` counts the steps for one value and stops at the limit.
//!
//! See [ADR 18](../../../../../docs/adr/0018-jsonschema-within-a-budget.md).

mod check;
mod compilation;
mod graph;
mod in_place;
mod limits;
mod memory;
mod pattern;
mod steps;
mod tagged;
mod unique;
mod walk;

pub(super) use check::Budget;
pub(super) use limits::Size;
pub(crate) use memory::{MAX_PARSED_BYTES, may_exceed_memory};
pub(super) use memory::{count_values, exceeds_memory};
pub(super) use pattern::MAX_PATTERN_BYTES;
pub(super) use steps::CHECK_STEPS;
pub(super) use walk::Exceeded;
