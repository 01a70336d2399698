//! A valid input of the agent: given, or generated.

use bytes::Bytes;
use serde_json::Value;

use super::target::Target;
use crate::schema;

/// A valid input of the agent.
pub(super) struct Input {
    /// The body; `None` where no input is known.
    pub(super) body: Option<Bytes>,
    /// Whether the input is certainly one that the agent can work on.
    pub(super) is_given: bool,
}

impl Input {
    pub(super) fn of(target: &Target, given: Option<&Value>) -> Self {
        let encode = |value: &Value| Bytes::from(value.to_string());
        match (given, target.input_schema()) {
            (Some(input), _) => Self {
                body: Some(encode(input)),
                is_given: true,
            },
            (None, None) => Self {
                body: Some(Bytes::new()),
                is_given: true,
            },
            (None, Some(schema)) => Self {
                body: schema::sample(schema).as_ref().map(encode),
                is_given: false,
            },
        }
    }
}
