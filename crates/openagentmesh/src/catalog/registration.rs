//! An agent on the lists.

use bytes::Bytes;
use openagentmesh_protocol::{AgentName, CatalogEntry, Contract, ErrorCode};

use crate::error::{Error, Result};
use crate::store::HEADER_OVERHEAD;
use crate::transport::too_large;

/// What the lists have of an agent: its line in the catalog, and its contract in the registry. That is
/// kept as text, which takes a tenth of the memory.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(super) name: AgentName,
    pub(super) entry: CatalogEntry,
    pub(super) document: Bytes,
}

impl Registration {
    /// What is listed of an agent with this contract.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the contract cannot be JSON.
    pub(crate) fn new(contract: &Contract) -> Result<Self> {
        let document = serde_json::to_vec(contract).map_err(|error| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "the contract of agent '{}' cannot be JSON: {error}",
                    contract.name
                ),
            )
            .with_source(error)
        })?;
        Ok(Self {
            name: contract.name.clone(),
            entry: contract.to_catalog_entry(),
            // Without what it has grown too large.
            document: document.into_boxed_slice().into(),
        })
    }

    pub(crate) fn name(&self) -> &AgentName {
        &self.name
    }

    /// Refuses a contract that the server would not carry.
    pub(super) fn check_size(&self, max_payload: usize) -> Result<()> {
        let size = self.document.len() + HEADER_OVERHEAD;
        if size > max_payload {
            let what = format!("the contract of agent '{}'", self.name);
            return Err(too_large(&what, size, max_payload).with_agent(&self.name));
        }
        Ok(())
    }
}
