//! The text of an input, in the encodings that tools write.

use crate::failure::Failure;

/// Windows tools write this mark before a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of `bytes`, which come from `source`.
///
/// # Errors
///
/// If the bytes are not UTF-8. The message begins with `problem`, such as "invalid JSON input".
pub(crate) fn text(bytes: Vec<u8>, source: &str, problem: &str) -> Result<String, Failure> {
    if is_utf16(&bytes) {
        return Err(
            Failure::usage(format!("{problem}: {source} is UTF-16, JSON is UTF-8")).hint(
                "convert it with iconv -f UTF-16 -t UTF-8; in PowerShell, set \
                 $OutputEncoding = [Text.Encoding]::UTF8",
            ),
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        Failure::usage(format!(
            "{problem}: byte {} of {source} is not UTF-8",
            position + 1
        ))
    })
}

/// `text` without the mark of its encoding.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Whether the bytes begin as UTF-16: with a byte order mark, or with a character of two bytes.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_utf16;

    #[test]
    fn utf16_is_recognised() {
        let little =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let big =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
        for text in ["\u{feff}{}", "{}", "1"] {
            assert!(is_utf16(&little(text)), "{text}");
            assert!(is_utf16(&big(text)), "{text}");
            assert!(!is_utf16(text.as_bytes()), "{text}");
        }
        assert!(!is_utf16(b""));
        assert!(!is_utf16("\"ä\"".as_bytes()));
    }
}
