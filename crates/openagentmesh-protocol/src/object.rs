//! What the shared workspace says of one object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lenient::null_is_default;

/// The description of an object in the workspace's bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// The object's name: free text.
    pub name: String,
    /// What it is, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Headers, as those of a message: each has one or more values.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Whatever else its writer says of it.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub metadata: BTreeMap<String, String>,
    /// The bucket that it lies in.
    pub bucket: String,
    /// The identifier under which its chunks are stored.
    #[serde(default)]
    pub nuid: String,
    /// Size in bytes.
    #[serde(default)]
    pub size: u64,
    /// When it was last written, as an RFC 3339 timestamp.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mtime: String,
    /// How many chunks it has.
    #[serde(default)]
    pub chunks: u64,
    /// `SHA-256=` and the digest in URL-safe base64; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Whether it was removed.
    #[serde(default)]
    pub deleted: bool,
    /// How it is cut up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<ObjectOptions>,
}

/// How an object is cut up, or where else it lies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectOptions {
    /// Size of a chunk in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chunk_size: Option<u64>,
    /// The object that this name stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<ObjectLink>,
}

/// The object that another name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLink {
    /// The bucket that it lies in.
    pub bucket: String,
    /// Its name; without one, the whole bucket is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
