//! The checks before a schema is compiled and before a value is validated.

use jsonschema::Draft;
use serde_json::Value;

use super::graph::Graph;
use super::limits::Size;
use super::steps::{CHECK_STEPS, LIST_STEPS};
use super::walk::{Exceeded, Mode, Walk};
use super::{compilation, in_place};
use crate::schema::prepare::TranslatedPatterns;

/// The cost of validations against one schema.
pub(in crate::schema) struct Budget {
    graph: Graph,
    compile_depth: usize,
    /// Steps of the check of a single value, without its text and its parts.
    steps_per_value: u64,
}

impl Budget {
    /// # Errors
    ///
    /// The reason why the cost of `schema` cannot be bounded, with the place.
    pub(in crate::schema) fn new(
        schema: &Value,
        size: &Size,
        draft: Draft,
        patterns: &TranslatedPatterns,
    ) -> Result<Self, String> {
        let graph = Graph::new(schema, draft, patterns)?;
        let steps_per_value = in_place::check(&graph)?;
        let recompiled_depth = compilation::check(&graph, size.longest_path)?;
        Ok(Self {
            graph,
            compile_depth: size.depth + recompiled_depth,
            steps_per_value,
        })
    }

    /// The depth of recursion of compiling the schema.
    pub(in crate::schema) fn compile_depth(&self) -> usize {
        self.compile_depth
    }

    /// Whether the check of a value of a plain type takes at most [`CHECK_STEPS`], however its `values` are nested.
    pub(in crate::schema) fn allows_plain(&self, values: usize, bytes: usize) -> bool {
        // One more for the name of a member, and a part of one for each byte of the name.
        let steps = (values as u64).saturating_mul(self.steps_per_value + 1);
        steps.saturating_add(bytes as u64 / 16) <= CHECK_STEPS
    }

    /// The depth of recursion of a check of `value`, if that takes at most [`CHECK_STEPS`].
    pub(in crate::schema) fn check(&self, value: &Value) -> Result<usize, Exceeded> {
        Walk::new(&self.graph, CHECK_STEPS).run(value, Mode::Check)
    }

    /// Whether all problems of `value` can be collected within [`LIST_STEPS`].
    pub(in crate::schema) fn allows_list(&self, value: &Value) -> bool {
        Walk::new(&self.graph, LIST_STEPS)
            .run(value, Mode::List)
            .is_ok()
    }

    /// Whether the first problem of `value` can be found within [`CHECK_STEPS`].
    pub(in crate::schema) fn allows_first(&self, value: &Value) -> bool {
        Walk::new(&self.graph, CHECK_STEPS)
            .run(value, Mode::First)
            .is_ok()
    }
}
