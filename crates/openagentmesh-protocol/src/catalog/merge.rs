//! JSON texts of catalog entries: joined, compared, and merged.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use serde_json::value::{RawValue, to_raw_value};

use super::element::EntryName;
use super::entry::CatalogEntry;

/// `texts` as an array. `capacity` is its expected length.
pub(super) fn join<'t>(texts: impl Iterator<Item = &'t str>, capacity: usize) -> String {
    let mut joined = String::with_capacity(capacity + 2);
    joined.push('[');
    for (position, text) in texts.enumerate() {
        if position > 0 {
            joined.push(',');
        }
        joined.push_str(text);
    }
    joined.push(']');
    joined
}

/// Whether `older` equals `entry` in all known fields and has no separate channel field.
pub(super) fn is_same(older: &str, entry: &CatalogEntry) -> bool {
    let has_channel_field =
        serde_json::from_str::<EntryName>(older).is_ok_and(|entry| entry.channel.is_some());
    !has_channel_field
        && serde_json::from_str::<CatalogEntry>(older).is_ok_and(|older| {
            let known = CatalogEntry {
                extra: Map::new(),
                ..older
            };
            known
                == CatalogEntry {
                    extra: Map::new(),
                    ..entry.clone()
                }
        })
}

/// `entry`, followed by the fields that only `older` has. The channel field of 0.1.5 is dropped,
/// because the name of `entry` contains it.
pub(super) fn merge(older: &str, entry: &CatalogEntry) -> serde_json::Result<Box<RawValue>> {
    let mut fields: Fields = serde_json::from_str(to_raw_value(entry)?.get())?;
    let older: Fields = serde_json::from_str(older)?;
    for (name, value) in older.0 {
        if name != "channel" && fields.0.iter().all(|(known, _)| *known != name) {
            fields.0.push((name, value));
        }
    }
    to_raw_value(&fields)
}

/// The fields of an object in document order, each value as the JSON text that was read.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
