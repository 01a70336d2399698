//! An agent's contract: its schemas, capabilities and description.

use openagentmesh_name::{AgentName, InvalidName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{default_version, full_name, null_is_default_version};
use crate::lenient::null_is_default;
use crate::{Capabilities, CatalogEntry, subject};

/// An agent's contract, as stored in the registry.
///
/// On the wire a contract is an A2A agent card with an `x-agentmesh` block. This struct is flat.
///
/// ```
/// use openagentmesh_protocol::Contract;
///
/// let contract: Contract = serde_json::from_str(r#"{
///     "name": "echo", "description": "Echoes a message back.", "version": "0.1.0",
///     "capabilities": {"streaming": false, "invocable": true},
///     "skills": [{"id": "echo", "name": "echo", "description": "Echoes a message back.",
///                 "tags": [], "inputSchema": {"type": "string"}}],
///     "x-agentmesh": {"subject": "mesh.agent.echo", "tags": [],
///                     "registered_at": "2026-11-22T04:35:00.854160+00:00"}
/// }"#)?;
/// assert_eq!(contract.input_schema.unwrap()["type"], "string");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct Contract {
    /// The agent's full name.
    pub name: AgentName,
    /// Description of the agent, by which callers and models choose it.
    pub description: String,
    /// The agent's version.
    pub version: String,
    /// Tags for filtering.
    pub tags: Vec<String>,
    /// Whether the agent answers requests, and whether it produces many values.
    pub capabilities: Capabilities,
    /// JSON Schema of the input; `None` if the agent takes no input.
    pub input_schema: Option<Value>,
    /// JSON Schema of the output; `None` if the agent has no output or a stream of outputs.
    pub output_schema: Option<Value>,
    /// JSON Schema of a chunk or an event; `None` if the agent produces no stream.
    pub chunk_schema: Option<Value>,
    /// Time of the registration, as an RFC 3339 timestamp.
    pub registered_at: Option<String>,
    /// Whether the agent may be exported as an MCP tool; `None` leaves the choice to the exporter.
    pub mcp: Option<bool>,
    /// Whether a repetition of a request has the same effect as the request itself, so that callers may send it again
    /// when its reply is lost.
    pub idempotent: bool,
}

impl Contract {
    /// The agent's catalog entry.
    #[must_use]
    pub fn to_catalog_entry(&self) -> CatalogEntry {
        CatalogEntry {
            name: self.name.to_string(),
            description: self.description.clone(),
            version: self.version.clone(),
            tags: self.tags.clone(),
            invocable: self.capabilities.invocable,
            streaming: self.capabilities.streaming,
            extra: Map::new(),
        }
    }
}

/// The contract's wire format.
#[derive(Serialize, Deserialize)]
struct Document {
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    description: String,
    #[serde(
        default = "default_version",
        deserialize_with = "null_is_default_version"
    )]
    version: String,
    #[serde(default, deserialize_with = "null_is_default")]
    capabilities: Capabilities,
    #[serde(default, deserialize_with = "null_is_default")]
    skills: Vec<Option<Skill>>,
    #[serde(default, rename = "x-agentmesh", deserialize_with = "null_is_default")]
    extension: Extension,
}

#[derive(Serialize, Deserialize)]
struct Skill {
    #[serde(default, deserialize_with = "null_is_default")]
    id: String,
    #[serde(default, deserialize_with = "null_is_default")]
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    description: String,
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<String>,
    #[serde(
        default,
        rename = "inputSchema",
        skip_serializing_if = "Option::is_none"
    )]
    input_schema: Option<Value>,
    #[serde(
        default,
        rename = "outputSchema",
        skip_serializing_if = "Option::is_none"
    )]
    output_schema: Option<Value>,
}

#[derive(Default, Serialize, Deserialize)]
struct Extension {
    /// Written by SDK 0.1.5 only, where `name` lacks the channel.
    #[serde(default, skip_serializing)]
    channel: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    subject: String,
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registered_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunk_schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mcp: Option<bool>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    idempotent: bool,
}

impl TryFrom<Document> for Contract {
    type Error = InvalidName;

    fn try_from(document: Document) -> Result<Self, Self::Error> {
        let Document {
            name,
            description,
            version,
            capabilities,
            skills,
            extension,
        } = document;
        let (input_schema, output_schema) = skills
            .into_iter()
            .next()
            .flatten()
            .map_or((None, None), |skill| {
                (skill.input_schema, skill.output_schema)
            });
        Ok(Self {
            name: AgentName::new(full_name(extension.channel.as_deref(), name))?,
            description,
            version,
            tags: extension.tags,
            capabilities,
            input_schema,
            output_schema,
            chunk_schema: extension.chunk_schema,
            registered_at: extension.registered_at,
            mcp: extension.mcp,
            idempotent: extension.idempotent,
        })
    }
}

impl From<Contract> for Document {
    fn from(contract: Contract) -> Self {
        let name = contract.name.to_string();
        Self {
            skills: vec![Some(Skill {
                id: name.clone(),
                name: name.clone(),
                description: contract.description.clone(),
                tags: contract.tags.clone(),
                input_schema: contract.input_schema,
                output_schema: contract.output_schema,
            })],
            extension: Extension {
                channel: None,
                subject: subject::agent(&contract.name),
                tags: contract.tags,
                registered_at: contract.registered_at,
                chunk_schema: contract.chunk_schema,
                mcp: contract.mcp,
                idempotent: contract.idempotent,
            },
            name,
            description: contract.description,
            version: contract.version,
            capabilities: contract.capabilities,
        }
    }
}
