//! One revision of the catalog, indexed once and looked up often.

use openagentmesh_protocol::{AgentName, Capabilities, CatalogDocument, CatalogEntry};
use time::OffsetDateTime;

/// The catalog at one revision.
pub(crate) struct CatalogSnapshot {
    document: CatalogDocument,
    revision: u64,
    /// The time of the write; `None` for a write of this process, and for a key that was never written.
    published: Option<OffsetDateTime>,
}

impl CatalogSnapshot {
    pub(super) fn new(document: CatalogDocument, revision: u64) -> Self {
        Self {
            document,
            revision,
            published: None,
        }
    }

    /// A catalog that was read from the server.
    pub(super) fn delivered(
        document: CatalogDocument,
        revision: u64,
        published: Option<OffsetDateTime>,
    ) -> Self {
        Self {
            document,
            revision,
            published,
        }
    }

    /// The time of the write; `None` for a write of this process, and for a key that was never written.
    pub(super) fn published(&self) -> Option<OffsetDateTime> {
        self.published
    }

    pub(crate) fn document(&self) -> &CatalogDocument {
        &self.document
    }

    /// The revision of the catalog's key; 0 if the key was never written.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The listed entry of agent `name`.
    pub(crate) fn get(&self, name: &AgentName) -> Option<CatalogEntry> {
        self.document.get(name.as_str())
    }

    /// The capabilities in the listed entry of agent `name`.
    pub(crate) fn capabilities(&self, name: &AgentName) -> Option<Capabilities> {
        self.document.capabilities(name.as_str())
    }

    /// Whether the catalog has agent `name`, in an entry that can be understood or not.
    pub(crate) fn has(&self, name: &AgentName) -> bool {
        self.document.has(name.as_str())
    }

    /// Whether the entry of `entry`'s agent equals `entry`.
    pub(crate) fn says(&self, entry: &CatalogEntry) -> bool {
        self.document.says(entry)
    }
}
