//! An agent's contract as a caller uses it.

use std::sync::Arc;

use openagentmesh_protocol::{Contract as Document, ErrorCode};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::schema::InputSchema;

/// Everything that a caller needs to know of an agent, as the registry has it.
///
/// It is the protocol's [contract](Document), with its fields and its renderings for language models
/// and other protocols, and it can check an input before that is sent.
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

    /// Checks `input` against the input schema, before anything is sent.
    ///
    /// An agent that takes no input heeds none, so that anything passes. A host may be more lenient than
    /// its schema, where the type it reads is: one that knows a field by a second name, say.
    ///
    /// # Errors
    ///
    /// `invalid_input` as the host would answer it: `details.errors` has every problem with its
    /// location. Also when `input` cannot be JSON, and when what the registry has is no JSON Schema.
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
        Err(problems.error(&self.name).with_agent(&self.name))
    }

    fn invalid(&self, message: String) -> Error {
        Error::raised(ErrorCode::InvalidInput, message).with_agent(&self.name)
    }

    /// The protocol's contract alone.
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
