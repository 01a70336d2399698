//! A place in a schema, and the reason why a tool cannot have it.

/// The part of a schema that cannot be converted.
#[derive(Debug)]
pub(super) struct Problem {
    /// The location in the schema, as a JSON pointer.
    pub(super) location: String,
    /// The reason, as the rest of a sentence that begins with the location.
    pub(super) reason: String,
}

impl Problem {
    pub(super) fn new(location: &str, reason: impl Into<String>) -> Self {
        Self {
            location: location.to_owned(),
            reason: reason.into(),
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// The JSON pointer of `segment` below `location`.
pub(super) fn below(location: &str, segment: &str) -> String {
    let mut pointer = String::with_capacity(location.len() + segment.len() + 1);
    pointer.push_str(location);
    pointer.push('/');
    for character in segment.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(character),
        }
    }
    pointer
}
