//! The violations of a schema, as a caller gets them.

use openagentmesh_protocol::{AgentName, ErrorCode};
use serde::Serialize;
use serde_json::json;

use crate::error::Error;

/// The start of the message for a value that was not checked.
pub(super) const BUDGET_EXCEEDED: &str = "validation budget exceeded";

/// One violation of a schema.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Problem {
    /// The violating part of the value, as a JSON pointer.
    pub(crate) location: String,
    pub(crate) message: String,
    /// The violated keyword of the schema.
    pub(crate) rule: String,
}

/// The violations of a schema by one value. Empty for a valid value.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Problems {
    pub(crate) listed: Vec<Problem>,
    /// The number of further problems, if `listed` is not complete.
    pub(crate) omitted: usize,
    /// Whether the value was not checked because it is too large.
    is_too_large: bool,
}

impl Problems {
    /// The only problem of a value that is too large to be checked.
    pub(super) fn too_large(problem: Problem) -> Self {
        Self {
            is_too_large: true,
            ..problem.into()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether the value was not checked because that would exceed the budget.
    pub(crate) fn is_budget_exceeded(&self) -> bool {
        matches!(&self.listed[..], [problem] if problem.message.starts_with(BUDGET_EXCEEDED))
    }

    /// The error that lists these problems to a caller of agent `name`.
    pub(crate) fn error(&self, name: &AgentName) -> Error {
        const MAX_PROBLEMS_IN_MESSAGE: usize = 3;
        let described: Vec<String> = self
            .listed
            .iter()
            .take(MAX_PROBLEMS_IN_MESSAGE)
            .map(|problem| match problem.location.as_str() {
                "" => problem.message.clone(),
                location => format!("{location}: {}", problem.message),
            })
            .collect();
        let more = match self.listed.len().saturating_sub(described.len()) {
            0 => String::new(),
            more => format!("; and {} more in details.errors", more + self.omitted),
        };
        let code = match self.is_too_large {
            true => ErrorCode::PayloadTooLarge,
            false => ErrorCode::InvalidInput,
        };
        let error = Error::raised(
            code,
            format!(
                "invalid input for agent '{name}': {}{more}",
                described.join("; ")
            ),
        )
        .with_detail("errors", json!(self.listed));
        match self.omitted {
            0 => error,
            omitted => error.with_detail("omitted", json!(omitted)),
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self {
            listed: vec![problem],
            omitted: 0,
            is_too_large: false,
        }
    }
}
