//! The contract of an agent, for callers.

use std::sync::Arc;

use openagentmesh_protocol::{Contract as Document, ErrorCode};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::schema::{InputSchema, Problem};

/// The contract of an agent: its description, schemas and capabilities, from the registry.
///
/// Dereferences to the protocol's [contract](Document) with its fields and its renderings for language
/// models and other protocols. In addition, it validates inputs before they are sent.
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
    /// Any input is valid for an agent that takes none. A host may accept more than its schema says, for
    /// example a second name of a field.
    ///
    /// # Errors
    ///
    /// `invalid_input`, as the host would answer: `details.errors` has every problem with its location.
    /// Also when `input` cannot be written as JSON, and when the schema in the registry is invalid.
    pub fn validate(&self, input: impl Serialize) -> Result<()> {
        let input = serde_json::to_value(input).map_err(|error| {
            self.invalid(format!("the input cannot be written as JSON: {error}"))
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
        Err(Problem::error(&self.name, &problems).with_agent(&self.name))
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
