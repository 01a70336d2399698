//! References to a definition at the root.

use std::fmt::Write as _;

use super::problem::below;

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

/// The name in a reference that [`reference`] wrote, or `#`: `Some(None)` for the root.
#[expect(
    clippy::option_option,
    reason = "a reference may be foreign, or lead to the root"
)]
pub(super) fn definition_name(reference: &str) -> Option<Option<String>> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.is_empty() {
        return Some(None);
    }
    let name = decoded(fragment.strip_prefix("/$defs/")?)?;
    Some(Some(name.replace("~1", "/").replace("~0", "~")))
}
