//! The agent card for A2A peers.

use serde_json::{Value, json};

use super::schema::ToolError;
use crate::Contract;

/// The A2A version that the fields at the top level of a card are for.
const TOP_LEVEL_VERSION: &str = "0.3.0";

/// The A2A versions of the interface, the preferred one first.
const INTERFACE_VERSIONS: [&str; 2] = ["1.0", "0.3"];

/// The transport of the interface.
const BINDING: &str = "JSONRPC";

impl Contract {
    /// The agent's card for A2A peers outside the mesh, for A2A 1.0 and 0.3.
    ///
    /// `url` is the address of a gateway that answers A2A requests for this agent by JSON-RPC. Clients of
    /// A2A 1.0 read `supportedInterfaces`, those of 0.3 read `url`, `preferredTransport` and
    /// `protocolVersion`. Fields that only the mesh uses are omitted: the `x-agentmesh` block, schemas, the
    /// `invocable` capability.
    ///
    /// ```
    /// # use openagentmesh_protocol::Contract;
    /// # let contract: Contract = serde_json::from_str(r#"{"name": "echo"}"#)?;
    /// let card = contract.to_a2a_card("https://gateway.example/echo")?;
    /// assert_eq!(card["supportedInterfaces"][0]["url"], "https://gateway.example/echo");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInvocable`] for publishers and watchers.
    pub fn to_a2a_card(&self, url: &str) -> Result<Value, ToolError> {
        if !self.capabilities.invocable {
            return Err(ToolError::NotInvocable(self.name.to_string()));
        }
        let interface =
            |version| json!({"url": url, "protocolBinding": BINDING, "protocolVersion": version});
        Ok(json!({
            "name": self.name,
            "description": self.description,
            "version": self.version,
            "supportedInterfaces": INTERFACE_VERSIONS.map(interface),
            "protocolVersion": TOP_LEVEL_VERSION,
            "url": url,
            "preferredTransport": BINDING,
            "capabilities": {"streaming": self.capabilities.streaming},
            "defaultInputModes": ["application/json"],
            "defaultOutputModes": ["application/json"],
            "skills": [{
                "id": self.name,
                "name": self.name,
                "description": self.description,
                "tags": self.tags,
            }],
        }))
    }
}
