//! The entries of one agent in catalog and registry.

use bytes::Bytes;
use openagentmesh_protocol::{AgentName, CatalogEntry, Contract, ErrorCode};

use crate::error::{Error, Result};
use crate::store::HEADER_OVERHEAD;
use crate::transport::too_large;

/// The catalog entry and the contract of an agent. The contract is kept as JSON text, which takes a tenth
/// of the memory.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(super) name: AgentName,
    pub(super) entry: CatalogEntry,
    pub(super) document: Bytes,
}

impl Registration {
    /// # Errors
    ///
    /// `invalid_input` when the contract cannot be written as JSON.
    pub(crate) fn new(contract: &Contract) -> Result<Self> {
        let document = serde_json::to_vec(contract).map_err(|error| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "cannot write the contract of agent '{}' as JSON: {error}",
                    contract.name
                ),
            )
            .with_source(error)
        })?;
        Ok(Self {
            name: contract.name.clone(),
            entry: contract.to_catalog_entry(),
            // Boxed first, to give up spare capacity.
            document: document.into_boxed_slice().into(),
        })
    }

    pub(crate) fn name(&self) -> &AgentName {
        &self.name
    }

    /// Refuses a contract that exceeds the server's limit.
    pub(super) fn check_size(&self, max_payload: usize) -> Result<()> {
        let size = self.document.len() + HEADER_OVERHEAD;
        if size > max_payload {
            let what = format!("the contract of agent '{}'", self.name);
            return Err(too_large(&what, size, max_payload).with_agent(&self.name));
        }
        Ok(())
    }
}
