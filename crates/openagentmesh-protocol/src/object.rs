//! The metadata of an object in the shared workspace.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lenient::null_is_default;

/// The metadata of an object in the workspace's bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// The object's name: free text.
    pub name: String,
    /// Description for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Headers as in a message: each has one or more values.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Further properties, chosen by the writer.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub metadata: BTreeMap<String, String>,
    /// The bucket of the object.
    pub bucket: String,
    /// The identifier under which the chunks are stored.
    #[serde(default)]
    pub nuid: String,
    /// Size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Time of the last write, as an RFC 3339 timestamp.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mtime: String,
    /// Number of chunks.
    #[serde(default)]
    pub chunks: u64,
    /// `SHA-256=` and the digest in URL-safe base64; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Whether the object was deleted.
    #[serde(default)]
    pub deleted: bool,
    /// Chunk size or link target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<ObjectOptions>,
}

/// The chunk size of an object, or the object that it links to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectOptions {
    /// Maximum size of a chunk in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chunk_size: Option<u64>,
    /// The target, if the object is a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<ObjectLink>,
}

/// The target of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLink {
    /// The bucket of the target.
    pub bucket: String,
    /// The name of the target; `None` links to the whole bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
