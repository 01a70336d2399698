//! The catalog document, which all hosts write.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::de::Error as _;
use serde_json::value::to_raw_value;

use super::element::EntryName;
use super::entry::CatalogEntry;
use super::filter::CatalogFilter;
use super::index::{Element, Index};
use super::merge::{is_same, join, merge};
use crate::Capabilities;

/// The catalog document, which all hosts write.
///
/// The document keeps the JSON text that was read, with an index of its elements. A write therefore preserves fields
/// and entries of other writers that this version does not understand. Entries are parsed when they are asked for, so
/// that a large catalog takes little more memory than its text.
///
/// An element is *listed* when it has the name of an agent and can be understood. Of several elements with one name,
/// the first is listed. An entry of more than 1 MiB is not listed, nor are the last ones of a catalog whose entries
/// would take more than 32 MiB.
///
/// ```
/// use openagentmesh_protocol::CatalogDocument;
///
/// let text = br#"[{"name": "echo", "description": "Echoes.", "since": 1.50}]"#;
/// let mut catalog = CatalogDocument::parse(text)?;
/// assert!(catalog.remove(["nosuch"]).eq(&false));
/// assert_eq!(catalog.to_json()?, br#"[{"name": "echo", "description": "Echoes.", "since": 1.50}]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CatalogDocument {
    text: Arc<str>,
    index: Arc<Index>,
}

impl Default for CatalogDocument {
    fn default() -> Self {
        Self {
            text: Arc::from("[]"),
            index: Arc::default(),
        }
    }
}

impl CatalogDocument {
    /// Parses the value of the catalog's key. An empty value is an empty catalog.
    ///
    /// # Errors
    ///
    /// If the value is not a JSON array.
    pub fn parse(json: &[u8]) -> serde_json::Result<Self> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let text = str::from_utf8(json).map_err(serde_json::Error::custom)?;
        if !text.trim_ascii_start().starts_with('[') {
            // The error of the parser would quote the value, whatever its length.
            return Err(serde_json::Error::custom("not an array"));
        }
        u32::try_from(text.len()).map_err(|_| serde_json::Error::custom("longer than 4 GiB"))?;
        // The text is copied once it is known to be a catalog.
        Ok(Self {
            index: Arc::new(Index::read(text)?),
            text: Arc::from(text),
        })
    }

    /// The value to write to the catalog's key.
    ///
    /// # Errors
    ///
    /// No known input causes an error: the entries are valid JSON.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        Ok(join(self.texts(), self.text.len()).into_bytes())
    }

    /// The number of entries, understood or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.elements.len()
    }

    /// The size of the text that was read, in bytes.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Whether the catalog has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.elements.is_empty()
    }

    /// The number of elements that cannot be listed: those without the name of an agent, those that this version
    /// does not understand, and those that are too large. A repeated name does not count.
    #[must_use]
    pub fn count_invalid(&self) -> usize {
        self.index.invalid
    }

    /// The listed entries, in document order. Each one is parsed when the iterator reaches it.
    pub fn entries(&self) -> impl Iterator<Item = CatalogEntry> {
        self.listed().filter_map(|element| self.read(element))
    }

    /// The listed entries that match `filter`, in document order. Most others are not parsed.
    pub fn matching<'d>(
        &'d self,
        filter: &'d CatalogFilter,
    ) -> impl Iterator<Item = CatalogEntry> + 'd {
        self.listed()
            .filter(move |element| filter.may_match(self.name(element), element.capabilities))
            .filter_map(|element| self.read(element))
            .filter(|entry| filter.matches(entry))
    }

    /// The JSON text of each element, understood or not, in document order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.index
            .elements
            .iter()
            .map(|element| self.text_of(element))
    }

    /// The name and the JSON text of each listed entry, in document order.
    pub fn listed_texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.listed()
            .map(|element| (self.name(element), self.text_of(element)))
    }

    /// The name and the JSON text of the first listed entry at or after `position` in the document, and the position
    /// to continue with.
    #[must_use]
    pub fn next_listed(&self, position: usize) -> Option<(usize, &str, &str)> {
        let elements = self.index.elements.get(position..)?;
        let offset = elements.iter().position(|element| element.is_listed)?;
        let element = &elements[offset];
        let next = position + offset + 1;
        Some((next, self.name(element), self.text_of(element)))
    }

    /// The full name in the JSON `text` of an entry. Other fields are ignored.
    ///
    /// `None` if `text` is not an object with a name.
    #[must_use]
    pub fn name_in(text: &str) -> Option<String> {
        EntryName::read(text)
    }

    /// The listed entry of agent `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CatalogEntry> {
        self.read(self.find_listed(name)?)
    }

    /// The JSON text of the listed entry of agent `name`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.find_listed(name).map(|element| self.text_of(element))
    }

    /// The capabilities in the listed entry of agent `name`.
    #[must_use]
    pub fn capabilities(&self, name: &str) -> Option<Capabilities> {
        self.find_listed(name).map(|element| element.capabilities)
    }

    /// Whether the document has an element with the name of agent `name`, understood or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The names of agents in the document, understood or not, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.named().map(|element| self.name(element))
    }

    /// Whether the listed entry of `entry`'s agent equals `entry` in all fields that this version knows.
    #[must_use]
    pub fn says(&self, entry: &CatalogEntry) -> bool {
        self.text(&entry.name)
            .is_some_and(|text| is_same(text, entry))
    }

    /// Adds `entries`. An entry replaces an older one of the same name, and all repetitions of it.
    ///
    /// New entries come last. In a catalog whose last entries are not listed, because of the limit of memory, the
    /// entries that are written come first.
    ///
    /// Fields of the older entry that this version does not know are preserved verbatim, if the older entry could
    /// be understood. Returns whether the document changed.
    ///
    /// # Errors
    ///
    /// No known input causes an error: an entry always serialises.
    pub fn upsert(
        &mut self,
        entries: impl IntoIterator<Item = CatalogEntry>,
    ) -> serde_json::Result<bool> {
        let mut changes = BTreeMap::new();
        let mut added = Vec::new();
        for entry in entries {
            let text = match self.find(&entry.name) {
                Some(older) if older.is_listed => {
                    let older = self.text_of(older);
                    if is_same(older, &entry) && !self.repeats(&entry.name) {
                        continue;
                    }
                    merge(older, &entry)?
                }
                _ => to_raw_value(&entry)?,
            };
            if !self.has(&entry.name) {
                added.push(entry.name.clone());
            }
            changes.insert(entry.name, Some(String::from(Box::<str>::from(text))));
        }
        self.change(changes, &added)
    }

    /// Sets the entry of each name to the given JSON text; `None` removes the name. Returns whether the document
    /// changed.
    ///
    /// # Errors
    ///
    /// If a text is not JSON.
    pub fn set(
        &mut self,
        texts: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> serde_json::Result<bool> {
        let changes: BTreeMap<String, Option<String>> = texts.into_iter().collect();
        let added = changes.keys().filter(|name| !self.has(name));
        let added: Vec<String> = added.cloned().collect();
        self.change(changes, &added)
    }

    /// Removes the entries of `names`. Returns whether the document changed.
    pub fn remove<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> bool {
        let names = names.into_iter().map(|name| (name.to_owned(), None));
        // Texts that were read before are JSON.
        self.set(names).unwrap_or(false)
    }

    /// Removes all elements that are not listed, to make room. Returns whether there were any.
    pub fn remove_unlisted(&mut self) -> bool {
        let listed = self.listed().map(|element| self.text_of(element));
        let text = join(listed, self.text.len());
        let has_unlisted = self.listed().count() < self.len();
        has_unlisted && self.replace(text).is_ok()
    }

    /// Applies `changes` by name. Names in `added` are new and come last, in their order.
    fn change(
        &mut self,
        changes: BTreeMap<String, Option<String>>,
        added: &[String],
    ) -> serde_json::Result<bool> {
        if !changes.keys().any(|name| self.has(name)) && added.is_empty() {
            return Ok(false);
        }
        let mut written: HashSet<&str> = HashSet::new();
        let mut texts: Vec<&str> = Vec::with_capacity(self.len() + added.len());
        if self.index.is_full {
            for (name, text) in &changes {
                texts.extend(text.as_deref());
                written.insert(name);
            }
        }
        for element in &self.index.elements {
            let name = self.name(element);
            match changes.get(name) {
                // The first element of the name is replaced, repetitions are removed.
                Some(text) if element.name_len > 0 => {
                    if let Some(text) = text
                        && written.insert(name)
                    {
                        texts.push(text);
                    }
                }
                _ => texts.push(self.text_of(element)),
            }
        }
        if !self.index.is_full {
            texts.extend(
                added
                    .iter()
                    .filter_map(|name| changes.get(name)?.as_deref()),
            );
        }
        let text = join(texts.into_iter(), self.text.len());
        if text == *self.text {
            return Ok(false);
        }
        self.replace(text)?;
        Ok(true)
    }

    fn replace(&mut self, text: String) -> serde_json::Result<()> {
        *self = Self::parse(text.as_bytes())?;
        Ok(())
    }

    fn listed(&self) -> impl Iterator<Item = &Element> {
        let elements = self.index.elements.iter();
        elements.filter(|element| element.is_listed)
    }

    /// The first element of agent `name`.
    fn find(&self, name: &str) -> Option<&Element> {
        self.index.find(name)
    }

    fn find_listed(&self, name: &str) -> Option<&Element> {
        self.find(name).filter(|element| element.is_listed)
    }

    /// Whether several elements have `name`.
    fn repeats(&self, name: &str) -> bool {
        let elements = self.index.elements.iter();
        let named = elements.filter(|element| element.name_len > 0 && self.name(element) == name);
        named.take(2).count() > 1
    }

    fn name(&self, element: &Element) -> &str {
        self.index.name(element)
    }

    fn text_of(&self, element: &Element) -> &str {
        &self.text[element.start as usize..element.end as usize]
    }

    fn read(&self, element: &Element) -> Option<CatalogEntry> {
        serde_json::from_str(self.text_of(element)).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn entry(name: &str) -> CatalogEntry {
        CatalogEntry {
            name: name.to_owned(),
            description: "Does something.".to_owned(),
            version: "1.0.0".to_owned(),
            tags: vec![],
            invocable: true,
            streaming: false,
            extra: Map::new(),
        }
    }

    fn text(catalog: &CatalogDocument) -> String {
        String::from_utf8(catalog.to_json().unwrap()).unwrap()
    }

    #[test]
    fn entry_not_understood_is_preserved_by_a_write() {
        let kept = r#"{"name":"a","description":"","big":123456789012345678901234567890},"not an entry",{"nameless":1e2}"#;
        let mut catalog = CatalogDocument::parse(format!("[{kept}]").as_bytes()).unwrap();
        assert!(catalog.upsert([entry("b")]).unwrap());
        assert!(text(&catalog).starts_with(&format!("[{kept},")));
        assert!(catalog.remove(["b"]));
        assert_eq!(text(&catalog), format!("[{kept}]"));
    }

    #[test]
    fn upserted_entry_keeps_unknown_fields_of_the_older_one() {
        let json = br#"[{"name":"a","description":"old","tags":null,"owner":"ops","cost":1.50}]"#;
        let mut catalog = CatalogDocument::parse(json).unwrap();
        assert!(catalog.upsert([entry("a")]).unwrap());
        let updated = catalog.get("a").unwrap();
        assert_eq!(updated.description, "Does something.");
        assert_eq!(updated.extra["owner"], "ops");
        assert!(
            text(&catalog).contains(r#""cost":1.50"#),
            "{}",
            text(&catalog)
        );
        assert!(
            !catalog.upsert([entry("a")]).unwrap(),
            "the second write changes nothing"
        );
    }

    #[test]
    fn upserted_entry_is_readable_although_the_older_one_is_not() {
        let older = br#"[{"name": "a", "description": "d", "later": 1e400}]"#;
        let mut catalog = CatalogDocument::parse(older).unwrap();
        assert!(catalog.get("a").is_none());
        assert!(catalog.upsert([entry("a")]).unwrap());
        assert_eq!(catalog.get("a").unwrap().description, "Does something.");
    }

    #[test]
    fn channel_field_of_0_1_5_becomes_part_of_the_name() {
        let json = br#"[{"name":"summarizer","channel":"nlp","description":"old"}]"#;
        let mut catalog = CatalogDocument::parse(json).unwrap();
        assert_eq!(
            catalog.get("nlp.summarizer").unwrap().name,
            "nlp.summarizer"
        );
        assert!(catalog.upsert([entry("nlp.summarizer")]).unwrap());
        assert_eq!(catalog.len(), 1);
        assert!(!text(&catalog).contains("channel"));
        assert!(catalog.remove(["nlp.summarizer"]));
        assert!(catalog.is_empty());
    }
}
