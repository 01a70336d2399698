//! Decoding the inputs of typed handlers.

use serde::de::DeserializeOwned;

use super::erased::DecodeError;
use super::objects::Objects;
use crate::schema::without_fractions;

/// Decodes an input. An empty body is `null`, so that a handler may take an optional input.
///
/// As in JSON Schema, a whole number is an integer however it is written, and a struct is an object.
pub(super) fn decode<In: DeserializeOwned>(body: &[u8]) -> Result<In, DecodeError> {
    let body = if body.is_empty() { b"null" } else { body };
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
    serde_path_to_error::deserialize(Objects(&mut deserializer))
        .map_err(|error| DecodeError {
            location: json_pointer(error.path()),
            message: error.into_inner().to_string(),
        })
        .and_then(|input| {
            deserializer.end().map_err(|error| DecodeError {
                location: String::new(),
                message: error.to_string(),
            })?;
            Ok(input)
        })
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
