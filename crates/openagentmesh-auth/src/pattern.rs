//! Patterns of agents, keys and files, and the access to them.

use std::fmt;
use std::str::FromStr;

use openagentmesh_protocol::AgentName;

use crate::AuthError;

/// The pattern of everything.
const ALL: &str = ">";

/// The end of a pattern of a channel or a prefix of keys.
const BELOW: &str = ".>";

/// Maximum length of the name of a file in bytes. The name is a part of subjects, as base64.
const MAX_FILE_NAME: usize = 512;

/// Maximum length of a key in bytes.
const MAX_KEY: usize = 512;

/// Agents: one by its name, a channel such as `shop.>`, or all.
///
/// ```
/// use openagentmesh_auth::AgentPattern;
///
/// let channel: AgentPattern = "shop.>".parse()?;
/// assert!(matches!(channel, AgentPattern::Channel(_)));
/// assert_eq!(channel.to_string(), "shop.>");
/// assert!("shop.*".parse::<AgentPattern>().is_err());
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AgentPattern {
    /// One agent.
    Agent(AgentName),
    /// The agents whose names begin with this channel and a dot.
    Channel(AgentName),
    /// All agents.
    All,
}

impl FromStr for AgentPattern {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == ALL {
            return Ok(Self::All);
        }
        let (name, is_channel) = match text.strip_suffix(BELOW) {
            Some(channel) => (channel, true),
            None => (text, false),
        };
        let invalid = |allowed| AuthError::Invalid {
            what: "agent pattern",
            value: text.to_owned(),
            allowed,
        };
        let name = AgentName::new(name).map_err(|_| {
            invalid("write the name of an agent (shop.price), a channel (shop.>) or all agents (>)")
        })?;
        if is_channel {
            return Ok(Self::Channel(name));
        }
        // The subject of requests to `shop.orders.events` is that of the events of `shop.orders`.
        if name.local() == "events" && name.channel().is_some() {
            return Err(invalid(
                "requests to an agent whose last segment is 'events' share the subject of another agent's events; \
                 choose another name",
            ));
        }
        Ok(Self::Agent(name))
    }
}

impl fmt::Display for AgentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => write!(f, "{name}"),
            Self::Channel(channel) => write!(f, "{channel}{BELOW}"),
            Self::All => f.write_str(ALL),
        }
    }
}

/// Shared values: one by its key, those below a prefix such as `limits.>`, or all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPattern {
    /// All keys.
    All,
    /// One key, or a prefix that ends with `.>`, as a subject.
    Some(String),
}

impl FromStr for KeyPattern {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == ALL {
            return Ok(Self::All);
        }
        let key = text.strip_suffix(BELOW).unwrap_or(text);
        let is_allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'=');
        let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(is_allowed);
        if key.len() > MAX_KEY || !key.split('.').all(is_segment) {
            return Err(AuthError::Invalid {
                what: "key pattern",
                value: text.to_owned(),
                allowed: "write a key (limits.retries), a prefix (limits.>) or all keys (>)",
            });
        }
        Ok(Self::Some(text.to_owned()))
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str(ALL),
            Self::Some(pattern) => f.write_str(pattern),
        }
    }
}

/// Shared files: one by its exact name, or all. A prefix cannot be named: subjects have the names in base64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FilePattern {
    /// All files.
    All,
    /// The file of this name.
    File(String),
}

impl FromStr for FilePattern {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |allowed| {
            Err(AuthError::Invalid {
                what: "file name",
                value: text.to_owned(),
                allowed,
            })
        };
        match text {
            ALL => Ok(Self::All),
            "" => invalid("write the name of a file, or > for all files"),
            _ if text.len() > MAX_FILE_NAME => invalid("at most 512 bytes are allowed"),
            _ if text.chars().any(char::is_control) => {
                invalid("control characters are not allowed")
            }
            _ if text.ends_with('>') => invalid(
                "a prefix of files cannot be named; write the exact name of one file, or > for all files",
            ),
            _ => Ok(Self::File(text.to_owned())),
        }
    }
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str(ALL),
            Self::File(name) => f.write_str(name),
        }
    }
}

/// Whether values or files may be read only, or written too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Read: `r`. A server cannot narrow what is read, so this is for all values or files.
    Read,
    /// Write what matches, and read everything: `rw`.
    ReadWrite,
}

impl Access {
    /// The access as it is written: `r` or `rw`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::ReadWrite => "rw",
        }
    }
}

/// A pattern with the access to what it matches, written `PATTERN:r` or `PATTERN:rw`.
///
/// ```
/// use openagentmesh_auth::{Access, Granted, KeyPattern};
///
/// let granted: Granted<KeyPattern> = "limits.>:rw".parse()?;
/// assert_eq!(granted.access, Access::ReadWrite);
/// assert_eq!(granted.to_string(), "limits.>:rw");
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Granted<P> {
    /// The values or files that may be used.
    pub pattern: P,
    /// How it may be used.
    pub access: Access,
}

impl<P: FromStr<Err = AuthError>> FromStr for Granted<P> {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The name of a file may contain a colon.
        let (pattern, access) = match text.rsplit_once(':') {
            Some((pattern, "r")) => (pattern, Access::Read),
            Some((pattern, "rw")) => (pattern, Access::ReadWrite),
            _ => {
                return Err(AuthError::Invalid {
                    what: "access",
                    value: text.to_owned(),
                    allowed: "write >:r to read everything, or PATTERN:rw to write what matches, too",
                });
            }
        };
        Ok(Self {
            pattern: pattern.parse()?,
            access,
        })
    }
}

impl<P: fmt::Display> fmt::Display for Granted<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pattern, self.access.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_pattern_is_a_name_a_channel_or_all() {
        for text in ["echo", "shop.price", "shop.>", "a.b.>", ">", "events"] {
            assert_eq!(text.parse::<AgentPattern>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "shop.*",
            "*",
            "shop.>.x",
            "a b",
            "shop.",
            ".>",
            "shop.>>",
            "shop.x.events",
        ] {
            assert!(text.parse::<AgentPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn key_pattern_has_a_wildcard_at_its_end_only() {
        for text in ["a", "limits.retries", "limits.>", "a/b=c", ">"] {
            assert_eq!(text.parse::<KeyPattern>().unwrap().to_string(), text);
        }
        for text in [
            "", "a.*", "*.b", "a..b", ".a", "a.", "a b", "a>", ">.a", ".>",
        ] {
            assert!(text.parse::<KeyPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn access_follows_the_last_colon() {
        let granted: Granted<FilePattern> = "notes: may.txt:r".parse().unwrap();
        assert_eq!(
            granted.pattern,
            FilePattern::File("notes: may.txt".to_owned())
        );
        for text in ["a", "a:", "a:w", ":r", "reports/>:r"] {
            assert!(text.parse::<Granted<FilePattern>>().is_err(), "{text}");
        }
    }
}
