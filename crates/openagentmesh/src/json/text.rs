//! Texts in which nothing needs to be escaped.

use std::fmt::Display;

use serde::ser::{Serialize, Serializer};

/// The text that a JSON string holds as it is.
pub(super) fn read(json: &[u8]) -> Option<&str> {
    let text = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let text = std::str::from_utf8(text).ok()?;
    is_plain(text).then_some(text)
}

/// Whether nothing in `text` needs to be escaped.
fn is_plain(text: &str) -> bool {
    /// As many bytes as are looked at together: the compiler makes a few instructions of it.
    const BLOCK: usize = 64;
    let is_escaped = |&byte: &u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    let blocks = text.as_bytes().chunks(BLOCK);
    !blocks
        .into_iter()
        .any(|block| block.iter().fold(false, |any, byte| any | is_escaped(byte)))
}

/// What `serde_json` writes, but for plain texts.
type Json = serde_json::Serializer<super::Buffer>;

/// Writes a value that is a plain text, and leaves all else to `serde_json`.
pub(super) struct Writer<'w> {
    pub(super) json: &'w mut Json,
    /// The JSON of a plain text, if the value was one.
    pub(super) text: &'w mut Option<Vec<u8>>,
}

macro_rules! leave_to_json {
    ($($method:ident($($name:ident: $argument:ty),*) -> $output:ty;)*) => {$(
        fn $method(self, $($name: $argument),*) -> serde_json::Result<$output> {
            self.json.$method($($name),*)
        }
    )*};
}

impl<'w> Serializer for Writer<'w> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = <&'w mut Json as Serializer>::SerializeSeq;
    type SerializeTuple = <&'w mut Json as Serializer>::SerializeTuple;
    type SerializeTupleStruct = <&'w mut Json as Serializer>::SerializeTupleStruct;
    type SerializeTupleVariant = <&'w mut Json as Serializer>::SerializeTupleVariant;
    type SerializeMap = <&'w mut Json as Serializer>::SerializeMap;
    type SerializeStruct = <&'w mut Json as Serializer>::SerializeStruct;
    type SerializeStructVariant = <&'w mut Json as Serializer>::SerializeStructVariant;

    fn serialize_str(self, text: &str) -> serde_json::Result<()> {
        if !is_plain(text) {
            return self.json.serialize_str(text);
        }
        let mut json = Vec::with_capacity(text.len() + "\"\"".len());
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
        *self.text = Some(json);
        Ok(())
    }

    leave_to_json! {
        serialize_bool(value: bool) -> ();
        serialize_i8(value: i8) -> ();
        serialize_i16(value: i16) -> ();
        serialize_i32(value: i32) -> ();
        serialize_i64(value: i64) -> ();
        serialize_i128(value: i128) -> ();
        serialize_u8(value: u8) -> ();
        serialize_u16(value: u16) -> ();
        serialize_u32(value: u32) -> ();
        serialize_u64(value: u64) -> ();
        serialize_u128(value: u128) -> ();
        serialize_f32(value: f32) -> ();
        serialize_f64(value: f64) -> ();
        serialize_char(value: char) -> ();
        serialize_bytes(value: &[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(name: &'static str) -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_seq(len: Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(len: usize) -> Self::SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> Self::SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> Self::SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> serde_json::Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        self.json.serialize_newtype_struct(name, value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        self.json
            .serialize_newtype_variant(name, index, variant, value)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> serde_json::Result<()> {
        self.json.collect_str(value)
    }
}
