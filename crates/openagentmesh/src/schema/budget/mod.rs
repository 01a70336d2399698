//! A bound on the cost of a validation, computed before the library `jsonschema` runs.
//!
//! The library checks every alternative and every item it meets, so that a schema of 3 kB can take
//! longer than the age of the universe. The budget counts the library's steps without taking them:
//!
//! 1. `limits` refuses schemas that are too large or nested too deep.
//! 2. `graph` resolves every reference and collects, for each subschema, the subschemas that apply to
//!    the same value and those that apply to its parts. `pattern` measures compiled patterns.
//! 3. `in_place` refuses circles and schemas with which a single value takes too many steps.
//! 4. `walk` counts the steps for one value and stops at the limit.
//!
//! See [ADR 18](../../../../../docs/adr/0018-jsonschema-behind-a-budget.md).

mod graph;
mod in_place;
mod limits;
mod pattern;
mod walk;

use jsonschema::Draft;
use serde_json::Value;

use graph::Graph;
pub(super) use pattern::MAX_PATTERN_BYTES;
pub(super) use walk::Exceeded;
use walk::{Mode, Walk};

/// Steps of checking one value. A step takes the library up to about 100 ns.
pub(super) const CHECK_STEPS: u64 = 10_000_000;

/// Steps of listing the problems of one value: each step can add a problem of a few hundred bytes.
pub(super) const LIST_STEPS: u64 = 200_000;

/// The cost of validations against one schema.
pub(super) struct Budget {
    graph: Graph,
    schema_depth: usize,
}

impl Budget {
    /// # Errors
    ///
    /// The reason why the cost of `schema` cannot be bounded, with the place.
    pub(super) fn new(schema: &Value, draft: Draft) -> Result<Self, String> {
        let schema_depth = limits::check(schema)?;
        let graph = Graph::new(schema, draft)?;
        in_place::check(&graph)?;
        Ok(Self {
            graph,
            schema_depth,
        })
    }

    /// The number of levels that `schema` is nested.
    pub(super) fn schema_depth(&self) -> usize {
        self.schema_depth
    }

    /// The depth of recursion of a check of `value`, if that takes at most [`CHECK_STEPS`].
    pub(super) fn check(&self, value: &Value) -> Result<usize, Exceeded> {
        Walk::new(&self.graph, CHECK_STEPS).run(value, Mode::Check)
    }

    /// Whether all problems of `value` can be collected within [`LIST_STEPS`].
    pub(super) fn allows_list(&self, value: &Value) -> bool {
        Walk::new(&self.graph, LIST_STEPS)
            .run(value, Mode::List)
            .is_ok()
    }

    /// Whether the first problem of `value` can be found within [`CHECK_STEPS`].
    pub(super) fn allows_first(&self, value: &Value) -> bool {
        Walk::new(&self.graph, CHECK_STEPS)
            .run(value, Mode::First)
            .is_ok()
    }
}
