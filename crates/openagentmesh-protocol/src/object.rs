//! What the shared workspace says of one object.

use serde::{Deserialize, Serialize};

/// The description of an object in the workspace's bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// The object's name: free text.
    pub name: String,
    /// The bucket that it lies in.
    pub bucket: String,
    /// The identifier under which its chunks are stored.
    pub nuid: String,
    /// Size in bytes.
    pub size: u64,
    /// When it was last written, as an RFC 3339 timestamp.
    pub mtime: String,
    /// How many chunks it has.
    pub chunks: u64,
    /// `SHA-256=` and the digest in URL-safe base64.
    pub digest: String,
    /// Whether it was removed.
    #[serde(default)]
    pub deleted: bool,
    /// How it is cut up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<ObjectOptions>,
}

/// How an object is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectOptions {
    /// Size of a chunk in bytes.
    pub max_chunk_size: u64,
}
