//! One state of the catalog, read once and looked up often.

use std::collections::HashMap;
use std::sync::Arc;

use openagentmesh_protocol::{AgentName, CatalogDocument, CatalogEntry};

/// The catalog at one revision.
pub(crate) struct CatalogSnapshot {
    document: CatalogDocument,
    revision: u64,
    /// In the order in which they stand.
    entries: Vec<Arc<CatalogEntry>>,
    /// Everything that has a name, understood or not.
    by_name: HashMap<Arc<str>, Option<Arc<CatalogEntry>>>,
    /// By its text: most of a catalog is what it was before, and needs not be read again.
    read: HashMap<Box<str>, Read>,
}

/// What an entry's text says.
#[derive(Clone)]
struct Read {
    name: Option<Arc<str>>,
    entry: Option<Arc<CatalogEntry>>,
}

impl CatalogSnapshot {
    pub(super) fn new(document: CatalogDocument, revision: u64) -> Self {
        Self::build(document, revision, &HashMap::new())
    }

    /// The catalog at another revision.
    pub(super) fn updated(&self, document: CatalogDocument, revision: u64) -> Self {
        Self::build(document, revision, &self.read)
    }

    fn build(
        document: CatalogDocument,
        revision: u64,
        read_before: &HashMap<Box<str>, Read>,
    ) -> Self {
        let mut entries = Vec::with_capacity(document.len());
        let mut by_name = HashMap::with_capacity(document.len());
        let mut read = HashMap::with_capacity(document.len());
        for text in document.texts() {
            let known = read_before.get(text).cloned();
            let parsed = known.unwrap_or_else(|| Read::of(text));
            // Of two with one name the first counts.
            let is_first = parsed
                .name
                .as_ref()
                .is_none_or(|name| !by_name.contains_key(name));
            if is_first {
                entries.extend(parsed.entry.clone());
            }
            if let Some(name) = parsed.name.clone().filter(|_| is_first) {
                by_name.insert(name, parsed.entry.clone());
            }
            read.insert(text.into(), parsed);
        }
        Self {
            document,
            revision,
            entries,
            by_name,
            read,
        }
    }

    /// What its writers share.
    pub(super) fn document(&self) -> &CatalogDocument {
        &self.document
    }

    /// The revision of the catalog's key; 0 where there never was one.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The entries that are understood.
    pub(crate) fn entries(&self) -> &[Arc<CatalogEntry>] {
        &self.entries
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<CatalogEntry>> {
        self.by_name.get(name)?.as_ref()
    }

    /// Whether `name` is listed.
    pub(crate) fn lists(&self, name: &AgentName) -> bool {
        self.by_name.contains_key(name.as_str())
    }
}

impl Read {
    fn of(text: &str) -> Self {
        let entry: Option<CatalogEntry> = serde_json::from_str(text).ok();
        let name = match &entry {
            Some(entry) => Some(entry.name.as_str().into()),
            None => CatalogDocument::name_in(text).map(Into::into),
        };
        Self {
            name,
            entry: entry.map(Arc::new),
        }
    }
}
