//! The record of a registration in progress, by which a failure is taken back.

use std::collections::{BTreeMap, BTreeSet};

use openagentmesh_protocol::{AgentName, CatalogDocument};

use super::registry::Replaced;

/// The agents that a registration has added, with what was there before.
pub(crate) struct Addition {
    /// The contracts that may have been written.
    replaced: Vec<Replaced>,
    /// By agent: the text of the catalog entry before; `None` if there was none. Empty until the catalog is written.
    /// Agents whose entry said the same before are left out.
    previous: BTreeMap<AgentName, Option<String>>,
    /// The agents whose contracts were taken back. The others belong to another host by now.
    taken_back: BTreeSet<AgentName>,
}

impl Addition {
    pub(super) fn new(replaced: Vec<Replaced>) -> Self {
        Self {
            replaced,
            previous: BTreeMap::new(),
            taken_back: BTreeSet::new(),
        }
    }

    pub(super) fn replaced(&self) -> &[Replaced] {
        &self.replaced
    }

    /// Records the entries of `catalog`, before it is changed.
    pub(super) fn remember(&mut self, catalog: &CatalogDocument) {
        let agents = self.replaced.iter().map(|replaced| &replaced.registration);
        let changed = agents.filter(|agent| !catalog.says(&agent.entry));
        // An attempt whose answer was lost may have been written: then this catalog has its entries, and the base of
        // that attempt counts.
        self.previous.extend(changed.map(|agent| {
            let text = catalog.text(agent.name.as_str());
            (agent.name.clone(), text.map(str::to_owned))
        }));
    }

    /// The catalog was not written.
    pub(super) fn forget_entries(&mut self) {
        self.previous.clear();
    }

    /// The agents whose entries may be taken back.
    pub(super) fn names(&self) -> Vec<AgentName> {
        self.previous.keys().cloned().collect()
    }

    pub(super) fn taken_back(&mut self, names: BTreeSet<AgentName>) {
        self.taken_back.extend(names);
    }

    /// Whether entries of the catalog have to be taken back, too.
    pub(super) fn is_listed(&self) -> bool {
        let names = self.previous.keys();
        names.filter(|name| self.taken_back.contains(name)).count() > 0
    }

    /// The entries before, for those that are in `catalog` as they were written.
    pub(super) fn previous_entries(
        &self,
        catalog: &CatalogDocument,
    ) -> Vec<(String, Option<String>)> {
        let entries = self.replaced.iter().filter_map(|replaced| {
            let agent = &replaced.registration;
            let is_own = self.taken_back.contains(&agent.name) && catalog.says(&agent.entry);
            let previous = self.previous.get(&agent.name).filter(|_| is_own)?;
            // Another host has a contract and is about to list the agent.
            let is_shared = previous.is_none() && replaced.has_previous();
            (!is_shared).then(|| (agent.name.to_string(), previous.clone()))
        });
        entries.collect()
    }
}
