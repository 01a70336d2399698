//! Agent names, in a crate of their own, and texts of others as a terminal or a log may show them.
//!
//! The macros validate names at compile time. A separate crate keeps the rest of the protocol out
//! of their build.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod visible;

use std::fmt;
use std::str::FromStr;

pub use visible::{Visible, is_visible};

/// Maximum length of an agent name in bytes.
///
/// A NATS server closes the connection on a protocol line over 4 KiB. The limit keeps every
/// subject far below that.
pub const MAX_LEN: usize = 512;

/// The full name of an agent: dot-separated segments of `[A-Za-z0-9_-]+`.
///
/// The segments before the last are the agent's [channel](AgentName::channel).
///
/// ```
/// use openagentmesh_name::AgentName;
///
/// let name: AgentName = "finance.risk.scorer".parse()?;
/// assert_eq!(name.channel(), Some("finance.risk"));
/// assert_eq!(name.local(), "scorer");
/// assert!(name.is_in_channel("finance"));
/// assert!(AgentName::new("no spaces").is_err());
/// # Ok::<(), openagentmesh_name::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct AgentName(String);

impl AgentName {
    /// Validates `name`.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when the name is empty, longer than [`MAX_LEN`] bytes, or has a segment
    /// that is empty or holds a character outside `[A-Za-z0-9_-]`. The message names that segment.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        check(&name)?;
        Ok(Self(name))
    }

    /// The name of agent `local` in `channel`: both joined by a dot.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] as for [`AgentName::new`], for the joined name.
    pub fn in_channel(channel: Option<&str>, local: &str) -> Result<Self, InvalidName> {
        match channel {
            None => Self::new(local),
            Some(channel) => Self::new(format!("{channel}.{local}")),
        }
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments before the last, or `None` for a name of one segment.
    #[must_use]
    pub fn channel(&self) -> Option<&str> {
        self.0.rsplit_once('.').map(|(channel, _)| channel)
    }

    /// The last segment.
    #[must_use]
    pub fn local(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(_, local)| local)
    }

    /// Whether the name equals `channel` or starts with it plus a dot.
    #[must_use]
    pub fn is_in_channel(&self, channel: &str) -> bool {
        is_in_channel(&self.0, channel)
    }
}

/// Whether `name` equals `channel` or starts with it plus a dot.
#[must_use]
pub fn is_in_channel(name: &str, channel: &str) -> bool {
    name.strip_prefix(channel)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn check(name: &str) -> Result<(), InvalidName> {
    let fail = |reason| {
        Err(InvalidName {
            name: name.to_owned(),
            reason,
        })
    };
    if name.is_empty() {
        return fail(Reason::Empty);
    }
    if name.len() > MAX_LEN {
        return fail(Reason::TooLong);
    }
    for (index, segment) in name.split('.').enumerate() {
        if segment.is_empty() {
            return fail(Reason::EmptySegment {
                position: index + 1,
            });
        }
        if let Some(character) = segment.chars().find(|c| !is_name_char(*c)) {
            return fail(Reason::BadSegment {
                segment: segment.to_owned(),
                character,
            });
        }
    }
    Ok(())
}

/// Whether `byte` is allowed in a segment of a name.
#[must_use]
pub fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_name_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_name_byte)
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for AgentName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentName {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<Self, InvalidName> {
        Self::new(s)
    }
}

impl TryFrom<String> for AgentName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.0
    }
}

/// A string was rejected as agent name. The message says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid agent name '{}': {reason}", Visible(shorten(.name)))]
pub struct InvalidName {
    name: String,
    reason: Reason,
}

impl InvalidName {
    /// The rejected string.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("empty name; use dot-separated segments of letters, digits, '_' and '-'")]
    Empty,
    #[error("longer than {MAX_LEN} bytes; choose a shorter name")]
    TooLong,
    #[error("segment {position} is empty; remove the extra '.'")]
    EmptySegment { position: usize },
    #[error(
        "segment '{}' has the character {character:?}; \
         only letters, digits, '_' and '-' are allowed, with '.' between segments",
        Visible(segment)
    )]
    BadSegment { segment: String, character: char },
}

fn shorten(name: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 80;
    if name.chars().count() <= MAX_SHOWN_CHARS {
        name.to_owned()
    } else {
        name.chars()
            .take(MAX_SHOWN_CHARS)
            .chain("…".chars())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_name_error_names_the_segment() {
        let message = |name: &str| AgentName::new(name).unwrap_err().to_string();
        assert!(
            message("nlp.sum marizer.x").contains("segment 'sum marizer' has the character ' '")
        );
        assert!(message("a..b").contains("segment 2 is empty"));
        assert!(message(".a").contains("segment 1 is empty"));
        assert!(message("").contains("empty name"));
        assert!(message("größe").contains("'ö'"));
        assert!(message(&"x".repeat(MAX_LEN + 1)).contains("longer than 512 bytes"));
        assert!(AgentName::new("x".repeat(MAX_LEN)).is_ok());
    }

    #[test]
    fn channel_matches_whole_segments_only() {
        let name = AgentName::new("nlp.summarizer").unwrap();
        assert!(name.is_in_channel("nlp"));
        assert!(name.is_in_channel("nlp.summarizer"));
        assert!(!name.is_in_channel("nl"));
        assert!(!name.is_in_channel("nlp.sum"));
    }
}
