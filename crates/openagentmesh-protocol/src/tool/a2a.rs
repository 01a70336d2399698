use serde_json::{Value, json};

use crate::Contract;

/// The version of A2A that the cards follow.
const PROTOCOL_VERSION: &str = "0.3.0";

impl Contract {
    /// The agent's card for A2A peers outside the mesh.
    ///
    /// `url` is where a gateway answers A2A requests for this agent. What belongs to the mesh
    /// alone (the `x-agentmesh` block, schemas, the `invocable` capability) is left out.
    #[must_use]
    pub fn to_a2a_card(&self, url: &str) -> Value {
        json!({
            "protocolVersion": PROTOCOL_VERSION,
            "name": self.name,
            "description": self.description,
            "url": url,
            "version": self.version,
            "capabilities": {"streaming": self.capabilities.streaming},
            "defaultInputModes": ["application/json"],
            "defaultOutputModes": ["application/json"],
            "skills": [{
                "id": self.name,
                "name": self.name,
                "description": self.description,
                "tags": self.tags,
            }],
        })
    }
}
