//! The agent card for A2A peers.

use serde_json::{Value, json};

use crate::Contract;

/// The A2A version of the cards.
const PROTOCOL_VERSION: &str = "0.3.0";

impl Contract {
    /// The agent's card for A2A peers outside the mesh.
    ///
    /// `url` is the address of a gateway that answers A2A requests for this agent. Fields that only
    /// the mesh uses are omitted: the `x-agentmesh` block, schemas, the `invocable` capability.
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
