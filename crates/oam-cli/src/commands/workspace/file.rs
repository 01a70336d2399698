//! Output of a file's metadata.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use openagentmesh::ObjectInfo;
use serde::Serialize;

use crate::text;

/// The JSON output.
#[derive(Serialize)]
pub(super) struct File<'f> {
    name: &'f str,
    size: u64,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    metadata: &'f BTreeMap<String, String>,
}

impl<'f> From<&'f ObjectInfo> for File<'f> {
    fn from(object: &'f ObjectInfo) -> Self {
        Self {
            name: &object.name,
            size: object.size,
            modified: text::timestamp(object.modified),
            content_type: object.content_type.as_deref(),
            description: object.description.as_deref(),
            sha256: sha256(object),
            metadata: &object.metadata,
        }
    }
}

/// The digest in hex, as `sha256sum` prints it; `None` if the file has none.
pub(super) fn sha256(object: &ObjectInfo) -> Option<String> {
    let digest = BASE64_URL_SAFE.decode(object.digest.as_deref()?).ok()?;
    let mut hex = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}
