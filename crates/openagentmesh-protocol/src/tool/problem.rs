//! A place in a schema, and the reason why a tool cannot have it.

use std::fmt::Write as _;

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

/// The value of a `$ref` to the definition `name`.
pub(super) fn reference(name: &str) -> String {
    let mut reference = "#".to_owned();
    for byte in below("/$defs", name).bytes() {
        match byte {
            // The characters that a URI allows in its fragment.
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b':'
            | b'@'
            | b'/'
            | b'?' => reference.push(char::from(byte)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(reference, "%{byte:02X}");
            }
        }
    }
    reference
}

/// The text of a URI's fragment, with its percent escapes decoded; `None` if it is not UTF-8.
pub(super) fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
