//! What can be a value.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use openagentmesh_protocol::ErrorCode;

/// What can be put under a key: text as it is, bytes as they are, and anything else as [`Json`].
pub trait KvValue {
    /// The bytes that are stored.
    ///
    /// # Errors
    ///
    /// `invalid_input` when a value cannot be JSON.
    fn into_bytes(self) -> Result<Bytes>;
}

/// A value that is stored as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> KvValue for Json<T> {
    fn into_bytes(self) -> Result<Bytes> {
        let json = serde_json::to_vec(&self.0).map_err(|error| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!("the value cannot be written as JSON: {error}"),
            )
            .with_source(error)
        })?;
        Ok(json.into())
    }
}

macro_rules! values {
    ($($type:ty => $bytes:expr),+ $(,)?) => {
        $(impl KvValue for $type {
            fn into_bytes(self) -> Result<Bytes> {
                let bytes: fn($type) -> Bytes = $bytes;
                Ok(bytes(self))
            }
        })+
    };
}

values! {
    &str => |text| Bytes::copy_from_slice(text.as_bytes()),
    &String => |text| Bytes::copy_from_slice(text.as_bytes()),
    String => Bytes::from,
    &[u8] => Bytes::copy_from_slice,
    Vec<u8> => Bytes::from,
    Bytes => |bytes| bytes,
}

/// A value under a key, at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// The value as it is stored.
    pub value: Bytes,
    /// The number of the write that made it: larger than those of all writes before, under any key.
    pub revision: u64,
    /// When it was written, in UTC.
    pub created: OffsetDateTime,
}

impl KvEntry {
    /// The value as text.
    ///
    /// # Errors
    ///
    /// `invalid_input` when it is no UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.value).map_err(|error| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!("the value of key '{}' is no text: {error}", self.key),
            )
            .with_source(error)
        })
    }

    /// The value read as JSON.
    ///
    /// # Errors
    ///
    /// `invalid_input` when it is no JSON, or not that of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let mut json = serde_json::Deserializer::from_slice(&self.value);
        let value = serde_path_to_error::deserialize(&mut json);
        value.map_err(|error| {
            Error::raised(
                ErrorCode::InvalidInput,
                format!("the value of key '{}' cannot be read: {error}", self.key),
            )
            .with_source(error)
        })
    }
}
