//! Types that can be stored as values.

use bytes::Bytes;
use openagentmesh_protocol::ErrorCode;
use serde::Serialize;

use crate::error::{Error, Result};

/// A value for a key: text and bytes are stored unchanged, anything else as [`Json`].
pub trait KvValue {
    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the value cannot be written as JSON.
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
                format!("cannot write the value as JSON: {error}"),
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
