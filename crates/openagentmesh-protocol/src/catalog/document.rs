//! The catalog document, which all hosts write.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::entry::{CatalogEntry, full_name};

/// The catalog document, which all hosts write.
///
/// Each entry is kept as the JSON text that was read. A write therefore preserves fields and
/// entries of other writers that this version does not understand.
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

/// The fields of an entry that make up its full name.
#[derive(Deserialize)]
struct EntryName {
    name: String,
    #[serde(default)]
    channel: Option<String>,
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
        let entries = serde_json::from_slice(json)?;
        Ok(Self { entries })
    }

    /// The value to write to the catalog's key.
    ///
    /// # Errors
    ///
    /// No known input causes an error: the entries are valid JSON.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.entries)
    }

    /// The number of entries, understood or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the catalog has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that this version understands, in document order.
    pub fn entries(&self) -> impl Iterator<Item = CatalogEntry> {
        self.entries
            .iter()
            .filter_map(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// The JSON text of each entry, understood or not, in document order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|raw| raw.get())
    }

    /// The full name in the JSON `text` of an entry. Other fields are ignored.
    ///
    /// `None` if `text` is not an object with a name.
    #[must_use]
    pub fn name_in(text: &str) -> Option<String> {
        let entry: EntryName = serde_json::from_str(text).ok()?;
        Some(full_name(entry.channel.as_deref(), entry.name))
    }

    /// The entry of agent `name`; `None` if the catalog has none that this version understands.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CatalogEntry> {
        self.entries().find(|entry| entry.name == name)
    }

    /// The full names of all entries that have one, understood or not.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.entries.iter().filter_map(|raw| entry_name(raw))
    }

    /// Adds `entries`. An entry replaces an older one of the same name.
    ///
    /// Fields of the older entry that this version does not know are preserved verbatim.
    /// Returns whether the document changed.
    ///
    /// # Errors
    ///
    /// No known input causes an error: an entry always serialises.
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

    /// Removes the entries of `names`. Returns whether the document changed.
    pub fn remove<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> bool {
        let names: std::collections::HashSet<&str> = names.into_iter().collect();
        let before = self.entries.len();
        self.entries
            .retain(|raw| entry_name(raw).is_none_or(|name| !names.contains(name.as_str())));
        self.entries.len() != before
    }

    /// The index of each name; the first one if a name occurs twice.
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

/// Whether `older` equals `entry` in all known fields and has no separate channel field.
fn is_same(older: &RawValue, entry: &CatalogEntry) -> bool {
    let has_channel_field =
        serde_json::from_str::<EntryName>(older.get()).is_ok_and(|entry| entry.channel.is_some());
    !has_channel_field
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

/// `entry`, followed by the fields that only `older` has. The channel field of 0.1.5 is dropped,
/// because the name of `entry` contains it. A field is dropped whose value makes the entry unreadable, for
/// example a number beyond the range of `f64`.
fn merge(older: &RawValue, entry: &CatalogEntry) -> serde_json::Result<Box<RawValue>> {
    let mut fields: Fields = serde_json::from_str(to_raw_value(entry)?.get())?;
    let older: Fields = serde_json::from_str(older.get())?;
    for (name, value) in older.0 {
        if name != "channel"
            && is_readable(&value)
            && fields.0.iter().all(|(known, _)| *known != name)
        {
            fields.0.push((name, value));
        }
    }
    to_raw_value(&fields)
}

/// Whether an entry with a field of this value can be read.
fn is_readable(value: &RawValue) -> bool {
    // As deep as in the entry.
    serde_json::from_str::<Value>(&format!("[{}]", value.get())).is_ok()
}

/// The fields of an object in document order, each value as the JSON text that was read.
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
        let older = br#"[{"name": "a", "description": "d", "later": 1e400, "kept": 1}]"#;
        let mut catalog = CatalogDocument::parse(older).unwrap();
        assert!(catalog.get("a").is_none());
        assert!(catalog.upsert([entry("a")]).unwrap());
        assert_eq!(catalog.get("a").unwrap().extra["kept"], 1);
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
