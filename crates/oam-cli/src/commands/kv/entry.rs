//! Output of a key and its value.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use openagentmesh::KvEntry;
use serde::Serialize;
use time::OffsetDateTime;

use crate::text;

/// The JSON output.
#[derive(Serialize)]
pub(super) struct Entry<'e> {
    key: &'e str,
    revision: u64,
    created: String,
    /// Always a string: otherwise the stored bytes `3` and `"3"` would look the same.
    value: Cow<'e, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

impl<'e> Entry<'e> {
    pub(super) fn new(
        key: &'e str,
        revision: u64,
        created: OffsetDateTime,
        value: &'e [u8],
    ) -> Self {
        let (value, encoding) = match str::from_utf8(value) {
            Ok(text) => (text.into(), None),
            Err(_) => (BASE64_STANDARD.encode(value).into(), Some("base64")),
        };
        Self {
            key,
            revision,
            created: text::timestamp(created),
            value,
            encoding,
        }
    }
}

impl<'e> From<&'e KvEntry> for Entry<'e> {
    fn from(entry: &'e KvEntry) -> Self {
        Self::new(&entry.key, entry.revision, entry.created, &entry.value)
    }
}

/// The value for people, on one line; binary values as their size.
pub(super) fn value_on_one_line(value: &[u8]) -> String {
    match str::from_utf8(value) {
        Ok("") => "(empty)".to_owned(),
        Ok(value) => text::on_one_line(value.trim_end_matches('\n')),
        Err(_) => format!("({} bytes)", value.len()),
    }
}
