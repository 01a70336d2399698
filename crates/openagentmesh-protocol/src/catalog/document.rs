//! The whole catalog, as its writers share it.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use serde_json::value::{RawValue, to_raw_value};

use super::{CatalogEntry, full_name};

/// The whole catalog as its writers share it.
///
/// Entries stand in it as the text they were read as, so that a write keeps whatever other
/// writers put there, understood or not.
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
#[derive(Debug, Clone, Default)]
pub struct CatalogDocument {
    entries: Vec<Box<RawValue>>,
}

/// No more of an entry than tells whose it is.
#[derive(Deserialize)]
struct EntryName {
    name: String,
    #[serde(default)]
    channel: Option<String>,
}

impl CatalogDocument {
    /// Reads the catalog's value. An empty value is an empty catalog.
    ///
    /// # Errors
    ///
    /// When the value is not a JSON array.
    pub fn parse(json: &[u8]) -> serde_json::Result<Self> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let entries = serde_json::from_slice(json)?;
        Ok(Self { entries })
    }

    /// The catalog's value, to be written.
    ///
    /// # Errors
    ///
    /// None that is known: the entries are JSON already.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.entries)
    }

    /// How many entries there are, understood or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that this version understands, in the order they stand.
    pub fn entries(&self) -> impl Iterator<Item = CatalogEntry> {
        self.entries
            .iter()
            .filter_map(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// The text of each entry, understood or not, in the order they stand.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|raw| raw.get())
    }

    /// The full name in the `text` of an entry, whether the rest is understood or not.
    #[must_use]
    pub fn name_in(text: &str) -> Option<String> {
        let entry: EntryName = serde_json::from_str(text).ok()?;
        Some(full_name(entry.channel.as_deref(), entry.name))
    }

    /// The entry of agent `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CatalogEntry> {
        self.entries().find(|entry| entry.name == name)
    }

    /// The names of all entries that have one, whether the rest is understood or not.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.entries.iter().filter_map(|raw| entry_name(raw))
    }

    /// Adds `entries`, each in the place of an older one of its name.
    ///
    /// Fields of the older entry that this version does not know are kept as they were written.
    /// Returns whether anything changed.
    ///
    /// # Errors
    ///
    /// None that is known: an entry is always JSON.
    pub fn upsert(
        &mut self,
        entries: impl IntoIterator<Item = CatalogEntry>,
    ) -> serde_json::Result<bool> {
        let mut positions = self.positions();
        let mut changed = false;
        for entry in entries {
            match positions.get(&entry.name).copied() {
                Some(position) => {
                    let older = &self.entries[position];
                    if is_same(older, &entry) {
                        continue;
                    }
                    self.entries[position] = merge(older, &entry)?;
                }
                None => {
                    self.entries.push(to_raw_value(&entry)?);
                    positions.insert(entry.name, self.entries.len() - 1);
                }
            }
            changed = true;
        }
        Ok(changed)
    }

    /// Removes the entries of `names`. Returns whether there were any.
    pub fn remove<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> bool {
        let names: std::collections::HashSet<&str> = names.into_iter().collect();
        let before = self.entries.len();
        self.entries
            .retain(|raw| entry_name(raw).is_none_or(|name| !names.contains(name.as_str())));
        self.entries.len() != before
    }

    /// Where each name stands: of two with one name, the first.
    fn positions(&self) -> std::collections::HashMap<String, usize> {
        let mut positions = std::collections::HashMap::with_capacity(self.entries.len());
        for (position, raw) in self.entries.iter().enumerate() {
            if let Some(name) = entry_name(raw) {
                positions.entry(name).or_insert(position);
            }
        }
        positions
    }
}

fn entry_name(raw: &RawValue) -> Option<String> {
    CatalogDocument::name_in(raw.get())
}

/// Whether `older` says what `entry` says, and nothing is spelled as it no longer is.
fn is_same(older: &RawValue, entry: &CatalogEntry) -> bool {
    let spells_channel_apart =
        serde_json::from_str::<EntryName>(older.get()).is_ok_and(|entry| entry.channel.is_some());
    !spells_channel_apart
        && serde_json::from_str::<CatalogEntry>(older.get()).is_ok_and(|older| {
            let known = CatalogEntry {
                extra: Map::new(),
                ..older
            };
            known
                == CatalogEntry {
                    extra: Map::new(),
                    ..entry.clone()
                }
        })
}

/// `entry`, followed by the fields of `older` that it does not have. The channel of 0.1.5 is no
/// such field: it is part of the name.
fn merge(older: &RawValue, entry: &CatalogEntry) -> serde_json::Result<Box<RawValue>> {
    let mut fields: Fields = serde_json::from_str(to_raw_value(entry)?.get())?;
    let older: Fields = serde_json::from_str(older.get())?;
    for (name, value) in older.0 {
        if name != "channel" && fields.0.iter().all(|(known, _)| *known != name) {
            fields.0.push((name, value));
        }
    }
    to_raw_value(&fields)
}

/// The fields of an object in their order, each value as the text that it was read as.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
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
    fn a_write_keeps_what_it_does_not_understand() {
        let kept = r#"{"name":"a","description":"","big":123456789012345678901234567890},"not an entry",{"nameless":1e2}"#;
        let mut catalog = CatalogDocument::parse(format!("[{kept}]").as_bytes()).unwrap();
        assert!(catalog.upsert([entry("b")]).unwrap());
        assert!(text(&catalog).starts_with(&format!("[{kept},")));
        assert!(catalog.remove(["b"]));
        assert_eq!(text(&catalog), format!("[{kept}]"));
    }

    #[test]
    fn an_entry_keeps_unknown_fields_of_its_older_self() {
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
    fn the_channel_of_0_1_5_is_part_of_the_name() {
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
