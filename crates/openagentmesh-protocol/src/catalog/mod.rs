//! The catalog: one line about every agent of the mesh.

mod document;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::lenient::null_is_default;
use crate::name::is_in_channel;
use crate::{Capabilities, Verb, shape};

pub use document::CatalogDocument;

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

    /// The entry in one short line, for a language model to choose by: the name, how it is talked to
    /// unless it is called, the first sentence of the description, and the tags.
    ///
    /// ```
    /// # let entry: openagentmesh_protocol::CatalogEntry = serde_json::from_str(r#"{
    /// #     "name": "text.words", "description": "Streams the words of a text. One by one.",
    /// #     "tags": ["text"], "invocable": true, "streaming": true
    /// # }"#).unwrap();
    /// assert_eq!(entry.to_compact(), "text.words (stream): Streams the words of a text. #text");
    /// ```
    #[must_use]
    pub fn to_compact(&self) -> String {
        let verb = match self.capabilities().verb() {
            Some(Verb::Call) => String::new(),
            Some(verb) => format!(" ({verb})"),
            None => " (background)".to_owned(),
        };
        let tags: String = self.tags.iter().map(|tag| format!(" #{tag}")).collect();
        let description = first_sentence(&self.description);
        let separator = if description.is_empty() { "" } else { ": " };
        format!("{}{verb}{separator}{description}{tags}", self.name)
    }
}

/// The first sentence of `text`, or as much of it as fits into a line.
fn first_sentence(text: &str) -> String {
    /// In characters.
    const LONGEST: usize = 160;
    let paragraph = text
        .trim()
        .lines()
        .take_while(|line| !line.trim().is_empty());
    let words: Vec<&str> = paragraph.flat_map(str::split_whitespace).collect();
    let line = words.join(" ");
    let end = line.find(". ").map_or(line.len(), |end| end + 1);
    let sentence = &line[..end];
    if sentence.chars().count() <= LONGEST {
        return sentence.to_owned();
    }
    let mut shortened: String = sentence.chars().take(LONGEST).collect();
    if let Some(end) = shortened.rfind(' ') {
        shortened.truncate(end);
    }
    shortened.push('…');
    shortened
}

/// An entry as any published SDK spells it.
#[derive(Deserialize)]
struct WireEntry {
    name: String,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    description: String,
    #[serde(
        default = "default_version",
        deserialize_with = "null_is_default_version"
    )]
    version: String,
    #[serde(default, deserialize_with = "null_is_default")]
    tags: Vec<String>,
    #[serde(default = "shape::yes", deserialize_with = "null_is_yes")]
    invocable: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    streaming: bool,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

fn null_is_default_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_version))
}

fn null_is_yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(true))
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
    use super::first_sentence;

    #[test]
    fn a_sentence_is_one_line_of_bounded_length() {
        assert_eq!(first_sentence("One\n two. Three."), "One two.");
        assert_eq!(first_sentence("One\n\nTwo"), "One");
        assert_eq!(first_sentence("  "), "");
        let long = first_sentence(&"word ".repeat(100));
        assert!(
            long.ends_with("word…") && long.chars().count() <= 161,
            "{long}"
        );
    }
}
