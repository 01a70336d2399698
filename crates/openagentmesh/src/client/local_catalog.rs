//! The agents that answer requests in this process, in place of a catalog.

use openagentmesh_protocol::{AgentName, CatalogEntry, CatalogFilter};

use super::handle::Client;
use crate::catalog::Contract;
use crate::error::Result;

/// The contracts of the agents that match, in the order of their names; `None` on a mesh, which has a catalog.
pub(super) fn contracts(client: &Client, filter: &CatalogFilter) -> Option<Vec<Contract>> {
    let answers = client.session().answers.as_ref()?;
    let mut contracts = answers.contracts();
    contracts.retain(|contract| filter.matches(&contract.to_catalog_entry()));
    Some(contracts)
}

/// The catalog entries of the agents that match. As [`contracts`] otherwise.
pub(super) fn entries(client: &Client, filter: &CatalogFilter) -> Option<Vec<CatalogEntry>> {
    let contracts = contracts(client, filter)?;
    Some(
        contracts
            .iter()
            .map(|contract| contract.to_catalog_entry())
            .collect(),
    )
}

/// The contract of agent `name`; `None` on a mesh.
///
/// # Errors
///
/// `not_found` when no agent of this process has this name.
pub(super) fn contract(client: &Client, name: &AgentName) -> Option<Result<Contract>> {
    let answers = client.session().answers.as_ref()?;
    let mut contracts = answers.contracts().into_iter();
    let found = contracts.find(|contract| contract.name == *name);
    Some(found.ok_or_else(|| answers.not_found(name).with_agent(name)))
}
