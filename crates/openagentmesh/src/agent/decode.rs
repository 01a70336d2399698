//! Decoding the inputs of typed handlers.

use serde::de::DeserializeOwned;

use super::counted::{Counted, Memory};
use super::erased::DecodeError;
use super::objects::Objects;
use crate::schema::{
    MAX_LOCATION_CHARS, MAX_MESSAGE_CHARS, MAX_PARSED_BYTES, may_exceed_memory, shorten,
    without_fractions,
};

/// Decodes an input. An empty body is `null`, so that a handler may take an optional input.
///
/// As in JSON Schema, a whole number is an integer however it is written, and a struct is an object.
pub(super) fn decode<In: DeserializeOwned>(body: &[u8]) -> Result<In, DecodeError> {
    let body = if body.is_empty() { b"null" } else { body };
    if may_exceed_memory(body) {
        return match without_fractions(body) {
            Some(body) => decode_counted(&body),
            None => decode_counted(body),
        };
    }
    if let Ok(input) = from_slice(body) {
        return Ok(input);
    }
    // Only an invalid input is decoded again, more slowly, to find the place.
    match without_fractions(body) {
        Some(body) => from_slice(&body).or_else(|_| locate(&body)),
        None => locate(body),
    }
}

/// Whether `body` is an input of the type `In`; else the reason with the place.
pub(super) fn decodes<In: DeserializeOwned>(body: &[u8]) -> Result<(), String> {
    match decode::<In>(body) {
        Ok(_) => Ok(()),
        Err(error) if error.location.is_empty() => Err(error.message),
        Err(error) => Err(format!("{}: {}", error.location, error.message)),
    }
}

fn from_slice<In: DeserializeOwned>(body: &[u8]) -> serde_json::Result<In> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let input = In::deserialize(Objects(&mut deserializer))?;
    deserializer.end()?;
    Ok(input)
}

fn locate<In: DeserializeOwned>(body: &[u8]) -> Result<In, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let input = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(located)?;
    end(deserializer).map(|()| input)
}

/// Decodes an input that may take many times the memory of its text.
fn decode_counted<In: DeserializeOwned>(body: &[u8]) -> Result<In, DecodeError> {
    let memory = Memory::new(MAX_PARSED_BYTES);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let counted = Objects(Counted::new(&mut deserializer, &memory));
    let input = serde_path_to_error::deserialize(counted).map_err(|error| DecodeError {
        is_too_large: memory.is_exceeded(),
        ..located(error)
    })?;
    end(deserializer).map(|()| input)
}

fn end(
    mut deserializer: serde_json::Deserializer<serde_json::de::SliceRead<'_>>,
) -> Result<(), DecodeError> {
    deserializer.end().map_err(|error| DecodeError {
        location: String::new(),
        message: error.to_string(),
        is_too_large: false,
    })
}

fn located(error: serde_path_to_error::Error<serde_json::Error>) -> DecodeError {
    DecodeError {
        location: shorten(&json_pointer(error.path()), MAX_LOCATION_CHARS),
        message: shorten(error.inner(), MAX_MESSAGE_CHARS),
        is_too_large: false,
    }
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;

    use super::*;

    #[derive(serde::Deserialize)]
    #[expect(dead_code, clippy::large_enum_variant, reason = "is only decoded")]
    enum Nested {
        One([u64; 32]),
        Many(Vec<Nested>),
    }

    fn is_too_large<In: DeserializeOwned>(item: &str) -> bool {
        let count = 8_000_000 / (item.len() + 1);
        let body = format!("[{}{item}]", format!("{item},").repeat(count - 1));
        match decode::<Vec<In>>(body.as_bytes()) {
            Ok(_) => false,
            Err(error) => {
                assert!(error.is_too_large, "{}: {}", error.location, error.message);
                true
            }
        }
    }

    #[test]
    fn input_of_8_mb_is_too_large_only_if_its_value_is() {
        assert!(!is_too_large::<u8>("1"));
        assert!(!is_too_large::<u64>("1.0"));
        assert!(!is_too_large::<Value>("0.12345678"));
        assert!(!is_too_large::<String>("\"a text of a few words\""));
        assert!(is_too_large::<Value>("1"));
        assert!(is_too_large::<Value>("[]"));
        assert!(is_too_large::<HashMap<String, Value>>("{\"\":1}"));
        assert!(is_too_large::<Nested>("{\"Many\":[]}"));
        assert!(is_too_large::<Vec<String>>("[\"a\"]"));
    }

    #[test]
    fn wrong_item_of_a_large_input_is_located() {
        let body = format!("[{}\"a\"]", "1,".repeat(4_000_000));
        let error = decode::<Vec<u8>>(body.as_bytes()).err();
        let location = error.map(|error| (error.location, error.is_too_large));
        assert_eq!(location, Some(("/4000000".to_owned(), false)));
    }
}
