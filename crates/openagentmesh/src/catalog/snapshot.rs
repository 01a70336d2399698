//! One revision of the catalog, parsed once and looked up often.

use std::collections::HashMap;
use std::sync::Arc;

use openagentmesh_protocol::{AgentName, CatalogDocument, CatalogEntry};

/// The catalog at one revision.
pub(crate) struct CatalogSnapshot {
    document: CatalogDocument,
    revision: u64,
    /// Those with valid names, in the order of the document.
    entries: Vec<Arc<CatalogEntry>>,
    /// The number of entries that are malformed or have an invalid name.
    invalid: usize,
    /// Every entry with a name; `None` for one that could not be parsed otherwise.
    by_name: HashMap<Arc<str>, Option<Arc<CatalogEntry>>>,
    /// By the text of an entry: the next revision parses only changed entries.
    parsed: HashMap<Box<str>, Parsed>,
}

/// An entry's text, parsed.
#[derive(Clone)]
struct Parsed {
    name: Option<Arc<str>>,
    entry: Option<Arc<CatalogEntry>>,
}

impl CatalogSnapshot {
    pub(super) fn new(document: CatalogDocument, revision: u64) -> Self {
        Self::build(document, revision, &HashMap::new())
    }

    /// The catalog at another revision.
    pub(super) fn updated(&self, document: CatalogDocument, revision: u64) -> Self {
        Self::build(document, revision, &self.parsed)
    }

    fn build(
        document: CatalogDocument,
        revision: u64,
        parsed_before: &HashMap<Box<str>, Parsed>,
    ) -> Self {
        let mut entries = Vec::with_capacity(document.len());
        let mut by_name = HashMap::with_capacity(document.len());
        let mut parsed = HashMap::with_capacity(document.len());
        let mut invalid = 0;
        for text in document.texts() {
            let known = parsed_before.get(text).cloned();
            let Parsed { name, entry } = known.unwrap_or_else(|| Parsed::new(text));
            invalid += usize::from(entry.is_none());
            // The first of several entries with one name counts.
            let is_first = name.as_ref().is_none_or(|name| !by_name.contains_key(name));
            if is_first {
                entries.extend(entry.clone());
            }
            if let Some(name) = name.clone().filter(|_| is_first) {
                by_name.insert(name, entry.clone());
            }
            parsed.insert(text.into(), Parsed { name, entry });
        }
        Self {
            document,
            revision,
            entries,
            invalid,
            by_name,
            parsed,
        }
    }

    /// The document that writers change.
    pub(super) fn document(&self) -> &CatalogDocument {
        &self.document
    }

    /// The revision of the catalog's key; 0 if the key was never written.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The entries that could be parsed and have valid names.
    pub(crate) fn entries(&self) -> &[Arc<CatalogEntry>] {
        &self.entries
    }

    /// The number of all other entries.
    pub(crate) fn invalid(&self) -> usize {
        self.invalid
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<CatalogEntry>> {
        self.by_name.get(name)?.as_ref()
    }

    /// Whether `name` is listed.
    pub(crate) fn lists(&self, name: &AgentName) -> bool {
        self.by_name.contains_key(name.as_str())
    }
}

impl Parsed {
    fn new(text: &str) -> Self {
        let entry: Option<CatalogEntry> = serde_json::from_str(text).ok();
        let name = match &entry {
            Some(entry) => Some(entry.name.as_str().into()),
            None => CatalogDocument::name_in(text).map(Into::into),
        };
        // Any peer can write any name, and no agent can have an invalid one.
        let entry = entry.filter(|entry| AgentName::new(entry.name.as_str()).is_ok());
        Self {
            name,
            entry: entry.map(Arc::new),
        }
    }
}
