//! The contract of an agent, with validation of inputs.

use std::sync::Arc;

use openagentmesh_protocol::{Contract as Document, ErrorCode};
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::schema::{InputSchema, has_limit, parse};

/// The contract of an agent, as stored in the registry.
///
/// A contract dereferences to the protocol's [contract](Document), with its fields and its renderings
/// for language models and other protocols. In addition, [`validate`](Contract::validate) checks an
/// input before it is sent.
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> Result<(), Box<dyn std::error::Error>> {
/// let contract = mesh.contract("text.count").await?;
/// println!("{}", contract.to_openai_tool(openagentmesh::protocol::tool::OpenAiApi::Chat, true)?);
/// contract.validate(serde_json::json!({"text": ""}))?; // invalid_input: /text: "" is shorter than …
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Contract {
    document: Document,
    input: Option<Arc<InputSchema>>,
}

impl Contract {
    pub(super) fn new(document: Document) -> Self {
        let input = document.input_schema.as_ref();
        Self {
            input: input.map(|schema| Arc::new(InputSchema::new(schema))),
            document,
        }
    }

    /// Validates `input` against the input schema. Sends nothing.
    ///
    /// Any input is valid for an agent without an input schema. The host of this SDK comes to the same verdict.
    /// A whole number is an integer however it is written, such as `1.2e3`. Integers beyond 64 bits are compared
    /// exactly with the ranges of `i128` and `u128`, and as `f64` with other limits. Patterns are those of ECMA-262 with the flag `u`.
    ///
    /// The formats `date`, `date-time`, `time`, `duration`, `email`, `hostname`, `ip`, `ipv4`, `ipv6`, `iri`,
    /// `iri-reference`, `json-pointer`, `regex`, `relative-json-pointer`, `uri`, `uri-reference`,
    /// `uri-template`, `uuid`, and `int8` to `uint128` of integers are checked. Other formats are ignored.
    ///
    /// A check is limited in time and memory, whatever the schema is: schemas whose cost cannot be
    /// bounded are refused, and so are values that would take too many steps.
    ///
    /// # Errors
    ///
    /// `invalid_input`, as from the host: `details.errors` lists up to 20 problems with their
    /// locations, and `details.omitted` counts the others. Also if `input` cannot be written as JSON, or if
    /// the schema is invalid or not supported. `payload_too_large` if the check would exceed its limit.
    pub fn validate(&self, input: impl Serialize) -> Result<()> {
        let input = to_value(&input).map_err(|error| {
            self.invalid(format!(
                "invalid input: it cannot be written as JSON: {error}"
            ))
            .with_source(error)
        })?;
        let Some(schema) = &self.input else {
            return Ok(());
        };
        let problems = schema.problems(&input).map_err(|reason| {
            self.invalid(format!(
                "the input schema of agent '{}' is invalid: {reason}",
                self.name
            ))
        })?;
        if problems.is_empty() {
            return Ok(());
        }
        Err(problems.error(&self.name).with_agent(&self.name))
    }

    fn invalid(&self, message: String) -> Error {
        Error::raised(ErrorCode::InvalidInput, message).with_agent(&self.name)
    }

    /// The contract of the protocol.
    #[must_use]
    pub fn into_document(self) -> Document {
        self.document
    }
}

/// `input` as JSON. Integers beyond 64 bits become `f64`, which [`parse`] chooses.
fn to_value(input: &impl Serialize) -> serde_json::Result<Value> {
    match serde_json::to_value(input) {
        Ok(value) if !has_limit(&value) => Ok(value),
        _ => parse(&serde_json::to_vec(input)?),
    }
}

impl std::ops::Deref for Contract {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}

impl From<Document> for Contract {
    fn from(document: Document) -> Self {
        Self::new(document)
    }
}

impl Serialize for Contract {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(serializer)
    }
}

impl PartialEq for Contract {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(f)
    }
}
