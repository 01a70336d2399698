//! The summary of one agent in the catalog.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::lenient::{null_is_default, null_is_yes};
use crate::{Capabilities, Verb, shape};

/// The summary of one agent in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WireEntry")]
pub struct CatalogEntry {
    /// The agent's full name.
    pub name: String,
    /// Description of the agent, by which callers and models choose it.
    pub description: String,
    /// The agent's version.
    pub version: String,
    /// Tags that [`CatalogFilter`](super::CatalogFilter) can select.
    pub tags: Vec<String>,
    /// Whether the agent answers requests.
    pub invocable: bool,
    /// Whether the agent produces many values: chunks or events.
    pub streaming: bool,
    /// Fields unknown to this version, as read.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CatalogEntry {
    /// The agent's capabilities.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            streaming: self.streaming,
            invocable: self.invocable,
        }
    }

    /// The entry as one short line for a language model: the name, the verb unless it is `call`,
    /// the first sentence of the description, and the tags.
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

/// The first sentence of `text`, truncated at a word boundary.
fn first_sentence(text: &str) -> String {
    const MAX_SENTENCE_CHARS: usize = 160;
    let paragraph = text
        .trim()
        .lines()
        .take_while(|line| !line.trim().is_empty());
    let words: Vec<&str> = paragraph.flat_map(str::split_whitespace).collect();
    let line = words.join(" ");
    let end = line.find(". ").map_or(line.len(), |end| end + 1);
    let sentence = &line[..end];
    if sentence.chars().count() <= MAX_SENTENCE_CHARS {
        return sentence.to_owned();
    }
    let mut shortened: String = sentence.chars().take(MAX_SENTENCE_CHARS).collect();
    if let Some(end) = shortened.rfind(' ') {
        shortened.truncate(end);
    }
    shortened.push('…');
    shortened
}

/// An entry in any published SDK's spelling.
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

pub(crate) fn null_is_default_version<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(default_version))
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

/// The full name of an agent. SDK 0.1.5 writes the channel as a separate field.
pub(crate) fn full_name(channel: Option<&str>, name: String) -> String {
    match channel {
        None | Some("") => name,
        Some(channel) => format!("{channel}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn first_sentence_of_long_text_is_one_bounded_line() {
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
