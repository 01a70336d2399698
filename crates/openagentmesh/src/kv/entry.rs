//! An entry of the store, and its changes.

use bytes::Bytes;
use openagentmesh_protocol::bucket::CONTEXT;
use openagentmesh_protocol::{ErrorCode, subject};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::error::{BoxError, Error, Result};
use crate::schema::{MAX_MESSAGE_CHARS, shorten};
use crate::store::{Meaning, StoredMessage, latest};

/// The value of a key at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// The stored bytes.
    pub value: Bytes,
    /// The number of the write: larger than those of all earlier writes, of any key.
    pub revision: u64,
    /// The time of the write, in UTC.
    pub created: OffsetDateTime,
}

impl KvEntry {
    /// The value as text.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the value is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.value).map_err(|error| self.invalid("text", error))
    }

    /// The value parsed as JSON.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the value is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let mut json = serde_json::Deserializer::from_slice(&self.value);
        let value = serde_path_to_error::deserialize(&mut json);
        value.map_err(|error| self.invalid("JSON of the expected type", error))
    }

    fn invalid(&self, expected: &str, cause: impl Into<BoxError>) -> Error {
        // The error of a wrong type repeats the value, which any peer may have written.
        let (key, cause) = (&self.key, cause.into());
        let reason = shorten(&cause, MAX_MESSAGE_CHARS);
        let is_whole = reason == cause.to_string();
        let message = format!("unexpected value of key '{key}': {reason}; expected {expected}");
        let invalid = Error::raised(ErrorCode::InvalidInput, message);
        match is_whole {
            true => invalid.with_source(cause),
            false => invalid.with_source(reason),
        }
    }
}

/// A change of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvChange {
    /// The key has a new value.
    Put(KvEntry),
    /// The value was removed.
    Deleted {
        /// The key.
        key: String,
        /// The revision of the deletion.
        revision: u64,
    },
}

impl KvChange {
    /// The changed key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Deleted { key, .. } => key,
        }
    }

    /// The change in a message of the bucket.
    pub(super) fn new(message: &StoredMessage) -> Self {
        let subject = message.subject.as_str();
        let prefix = subjects("");
        let key = subject.strip_prefix(&prefix).unwrap_or(subject).to_owned();
        let revision = message.sequence;
        if message.meaning == Meaning::Deletion {
            return Self::Deleted { key, revision };
        }
        Self::Put(KvEntry {
            key,
            value: message.payload.clone(),
            revision,
            created: message.published,
        })
    }
}

impl latest::Change for KvChange {
    fn name(&self) -> &str {
        self.key()
    }

    fn is_deletion(&self) -> bool {
        matches!(self, Self::Deleted { .. })
    }
}

/// The subjects of the keys that `pattern` matches.
pub(super) fn subjects(pattern: &str) -> String {
    subject::kv(CONTEXT, pattern)
}
