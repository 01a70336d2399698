//! Texts in which nothing needs to be escaped.

use std::fmt;

use serde::ser::{Error, Impossible, Serialize, Serializer};

/// The value is no text, or has characters that are escaped in JSON.
#[derive(Debug)]
pub(super) struct NotPlainText;

impl fmt::Display for NotPlainText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no text, or not a plain one")
    }
}

impl std::error::Error for NotPlainText {}

impl Error for NotPlainText {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

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

/// Writes plain texts, and refuses everything else at once.
pub(super) struct Writer;

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $output:ty;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$output, NotPlainText> {
            Err(NotPlainText)
        }
    )*};
}

impl Serializer for Writer {
    type Ok = Vec<u8>;
    type Error = NotPlainText;
    type SerializeSeq = Impossible<Vec<u8>, NotPlainText>;
    type SerializeTuple = Impossible<Vec<u8>, NotPlainText>;
    type SerializeTupleStruct = Impossible<Vec<u8>, NotPlainText>;
    type SerializeTupleVariant = Impossible<Vec<u8>, NotPlainText>;
    type SerializeMap = Impossible<Vec<u8>, NotPlainText>;
    type SerializeStruct = Impossible<Vec<u8>, NotPlainText>;
    type SerializeStructVariant = Impossible<Vec<u8>, NotPlainText>;

    fn serialize_str(self, text: &str) -> Result<Vec<u8>, NotPlainText> {
        if !is_plain(text) {
            return Err(NotPlainText);
        }
        let mut json = Vec::with_capacity(text.len() + "\"\"".len());
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
        Ok(json)
    }

    refuse! {
        serialize_bool(bool) -> Vec<u8>;
        serialize_i8(i8) -> Vec<u8>;
        serialize_i16(i16) -> Vec<u8>;
        serialize_i32(i32) -> Vec<u8>;
        serialize_i64(i64) -> Vec<u8>;
        serialize_u8(u8) -> Vec<u8>;
        serialize_u16(u16) -> Vec<u8>;
        serialize_u32(u32) -> Vec<u8>;
        serialize_u64(u64) -> Vec<u8>;
        serialize_f32(f32) -> Vec<u8>;
        serialize_f64(f64) -> Vec<u8>;
        serialize_char(char) -> Vec<u8>;
        serialize_bytes(&[u8]) -> Vec<u8>;
        serialize_none() -> Vec<u8>;
        serialize_unit() -> Vec<u8>;
        serialize_unit_struct(&'static str) -> Vec<u8>;
        serialize_unit_variant(&'static str, u32, &'static str) -> Vec<u8>;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Vec<u8>, NotPlainText> {
        Err(NotPlainText)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<Vec<u8>, NotPlainText> {
        Err(NotPlainText)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Vec<u8>, NotPlainText> {
        Err(NotPlainText)
    }
}
