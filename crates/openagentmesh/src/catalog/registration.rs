//! The entries of one agent in catalog and registry.

use std::time::Duration;

use bytes::Bytes;
use openagentmesh_protocol::{AgentName, CatalogEntry, Contract, ErrorCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Result};
use crate::store::HEADER_OVERHEAD;
use crate::transport::too_large;

/// The difference of clocks up to which the time of another host's registration is believed.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// The size of a catalog entry up to which readers list it, in bytes.
const MAX_ENTRY_BYTES: usize = 1024 * 1024;
/// The size that counts for each tag, in addition to its text.
const TAG_OVERHEAD: usize = 64;

/// The catalog entry and the contract of an agent. The contract is kept as JSON text, which takes a tenth
/// of the memory.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(super) name: AgentName,
    pub(super) entry: CatalogEntry,
    pub(super) document: Bytes,
    registered_at: Option<OffsetDateTime>,
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
            registered_at: registered_at(contract),
        })
    }

    pub(crate) fn name(&self) -> &AgentName {
        &self.name
    }

    /// The agent's entry in the catalog.
    pub(crate) fn entry(&self) -> &CatalogEntry {
        &self.entry
    }

    /// Whether `contract` is that of another host, which has registered the same agent after this one.
    pub(super) fn is_replaced_by(&self, contract: &Contract) -> bool {
        let latest = OffsetDateTime::now_utc() + MAX_CLOCK_SKEW;
        let is_later = registered_at(contract)
            .is_some_and(|at| self.registered_at.is_none_or(|own| at > own) && at <= latest);
        contract.name == self.name && is_later
    }

    /// Refuses a contract that exceeds the server's limit, and an entry that readers would not list.
    pub(super) fn check_size(&self, max_payload: usize) -> Result<()> {
        let size = self.document.len() + HEADER_OVERHEAD;
        if size > max_payload {
            let what = format!("the contract of agent '{}'", self.name);
            return Err(too_large(&what, size, max_payload).with_agent(&self.name));
        }
        check_entry_size(&self.name, &self.entry)
    }
}

/// Refuses an `entry` of agent `name` that readers would not list.
pub(super) fn check_entry_size(name: &AgentName, entry: &CatalogEntry) -> Result<()> {
    let text = serde_json::to_vec(entry).map_or(0, |text| text.len());
    let size = text + HEADER_OVERHEAD + entry.tags.len() * TAG_OVERHEAD;
    if size > MAX_ENTRY_BYTES {
        return Err(Error::raised(
            ErrorCode::PayloadTooLarge,
            format!(
                "catalog entry of agent '{name}' too large: description and tags take {size} bytes of at most \
                 {MAX_ENTRY_BYTES}; shorten them"
            ),
        )
        .with_detail("size", size)
        .with_detail("limit", MAX_ENTRY_BYTES)
        .with_agent(name));
    }
    Ok(())
}

fn registered_at(contract: &Contract) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(contract.registered_at.as_deref()?, &Rfc3339).ok()
}
