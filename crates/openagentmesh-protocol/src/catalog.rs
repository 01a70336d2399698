//! The catalog: one line about every agent of the mesh.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::name::is_in_channel;
use crate::{Capabilities, shape};

/// One agent's line in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WireEntry")]
pub struct CatalogEntry {
    /// The full name.
    pub name: String,
    /// What the agent does.
    pub description: String,
    /// The agent's own version.
    pub version: String,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Whether it answers requests.
    pub invocable: bool,
    /// Whether it gives many values.
    pub streaming: bool,
    /// Fields that this version does not know, as they were read.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CatalogEntry {
    /// What the entry says the agent can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            streaming: self.streaming,
            invocable: self.invocable,
        }
    }
}

/// An entry as any published SDK spells it.
#[derive(Deserialize)]
struct WireEntry {
    name: String,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default = "default_version")]
    version: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default = "shape::yes")]
    invocable: bool,
    #[serde(default)]
    streaming: bool,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl From<WireEntry> for CatalogEntry {
    fn from(wire: WireEntry) -> Self {
        Self {
            name: full_name(wire.channel.as_deref(), wire.name),
            description: wire.description,
            version: wire.version,
            tags: wire.tags,
            invocable: wire.invocable,
            streaming: wire.streaming,
            extra: wire.extra,
        }
    }
}

pub(crate) fn default_version() -> String {
    "0.1.0".to_owned()
}

/// The full name of an agent whose channel may be spelled apart, as 0.1.5 did.
pub(crate) fn full_name(channel: Option<&str>, name: String) -> String {
    match channel {
        None | Some("") => name,
        Some(channel) => format!("{channel}.{name}"),
    }
}

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

    /// The entry of agent `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CatalogEntry> {
        self.entries().find(|entry| entry.name == name)
    }

    /// Adds `entries`, each in the place of an older one of its name.
    ///
    /// Fields of the older entry that this version does not know are kept. Returns whether
    /// anything changed.
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
        for mut entry in entries {
            let known = positions.get(&entry.name).copied();
            if let Some(position) = known
                && let Ok(older) =
                    serde_json::from_str::<CatalogEntry>(self.entries[position].get())
            {
                for (field, value) in older.extra.clone() {
                    entry.extra.entry(field).or_insert(value);
                }
                if older == entry && !spells_channel_apart(&self.entries[position]) {
                    continue;
                }
            }
            let raw = serde_json::value::to_raw_value(&entry)?;
            changed = true;
            match known {
                Some(position) => self.entries[position] = raw,
                None => {
                    positions.insert(entry.name, self.entries.len());
                    self.entries.push(raw);
                }
            }
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

    fn positions(&self) -> std::collections::HashMap<String, usize> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(position, raw)| Some((entry_name(raw)?, position)))
            .collect()
    }
}

fn entry_name(raw: &RawValue) -> Option<String> {
    let entry: EntryName = serde_json::from_str(raw.get()).ok()?;
    Some(full_name(entry.channel.as_deref(), entry.name))
}

fn spells_channel_apart(raw: &RawValue) -> bool {
    serde_json::from_str::<EntryName>(raw.get()).is_ok_and(|entry| entry.channel.is_some())
}

/// Which entries of the catalog to show. The default shows all.
///
/// ```
/// use openagentmesh_protocol::CatalogFilter;
///
/// let filter = CatalogFilter::default().channel("nlp").tag("text").streaming(false);
/// # let entry = openagentmesh_protocol::CatalogEntry {
/// #     name: "nlp.summarizer".into(), description: String::new(), version: String::new(),
/// #     tags: vec!["text".into()], invocable: true, streaming: false, extra: Default::default(),
/// # };
/// assert!(filter.matches(&entry));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogFilter {
    channel: Option<String>,
    tags: Vec<String>,
    invocable: Option<bool>,
    streaming: Option<bool>,
}

impl CatalogFilter {
    /// Only agents whose name is `channel` or lies below it.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// Only agents that have `tag`, besides those asked for before.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Only agents that answer requests, or only those that do not.
    #[must_use]
    pub fn invocable(mut self, invocable: bool) -> Self {
        self.invocable = Some(invocable);
        self
    }

    /// Only agents that give many values, or only those that do not.
    #[must_use]
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.streaming = Some(streaming);
        self
    }

    /// Whether `entry` passes.
    #[must_use]
    pub fn matches(&self, entry: &CatalogEntry) -> bool {
        self.channel
            .as_deref()
            .is_none_or(|channel| is_in_channel(&entry.name, channel))
            && self.tags.iter().all(|tag| entry.tags.contains(tag))
            && self
                .invocable
                .is_none_or(|invocable| entry.invocable == invocable)
            && self
                .streaming
                .is_none_or(|streaming| entry.streaming == streaming)
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
        let json = br#"[{"name":"a","description":"old","owner":"ops"}]"#;
        let mut catalog = CatalogDocument::parse(json).unwrap();
        assert!(catalog.upsert([entry("a")]).unwrap());
        let updated = catalog.get("a").unwrap();
        assert_eq!(updated.description, "Does something.");
        assert_eq!(updated.extra["owner"], "ops");
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
