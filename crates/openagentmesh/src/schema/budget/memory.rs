//! The memory that a parsed value takes, estimated.

use serde_json::Value;

/// Bytes of memory that an input may take when it is parsed in order to be checked, as estimated.
///
/// A list of a million numbers fits. Every realistic message of 8 MiB, the limit of a local server, does, too:
/// only values of a few bytes each take many times the memory of their text.
pub(crate) const MAX_PARSED_BYTES: usize = 96 * 1024 * 1024;

/// Bytes of one value.
const VALUE_BYTES: usize = size_of::<Value>();

/// Bytes of the name of a member, in addition to its text, and of its place in the table of names.
const MEMBER_BYTES: usize = 80;

/// Bytes of the tables of an object.
const OBJECT_BYTES: usize = 400;

/// Whether `value` takes more memory than [`MAX_PARSED_BYTES`].
pub(in crate::schema) fn exceeds_memory(value: &Value) -> bool {
    let mut bytes = 0;
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        bytes += match value {
            Value::String(text) => text.len(),
            Value::Array(items) => {
                stack.extend(items.iter().filter(|item| has_parts(item)));
                items.len().max(1) * VALUE_BYTES
            }
            Value::Object(members) => {
                stack.extend(members.values().filter(|member| has_parts(member)));
                let names: usize = members.keys().map(String::len).sum();
                let values = members.len().max(1) * VALUE_BYTES;
                OBJECT_BYTES + values + members.len() * MEMBER_BYTES + names
            }
            _ => 0,
        };
        if bytes > MAX_PARSED_BYTES {
            return true;
        }
    }
    false
}

fn has_parts(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_))
}

/// Whether the value of `json` may take more memory than [`MAX_PARSED_BYTES`], computed without parsing it.
pub(crate) fn may_exceed_memory(json: &[u8]) -> bool {
    /// The memory that a byte takes at most: an object of `{}` and a comma.
    const MAX_BYTES_PER_BYTE: usize = OBJECT_BYTES;
    json.len() > MAX_PARSED_BYTES / MAX_BYTES_PER_BYTE && parsed_bytes(json) > MAX_PARSED_BYTES
}

fn parsed_bytes(json: &[u8]) -> usize {
    sum_bytes(json, 1, |byte| match byte {
        b',' | b'[' => VALUE_BYTES,
        b'{' => OBJECT_BYTES + VALUE_BYTES,
        b':' => MEMBER_BYTES,
        _ => 0,
    })
}

/// The number of values and of names in `json`, counted without parsing it.
pub(in crate::schema) fn count_values(json: &[u8]) -> usize {
    1 + sum_bytes(json, 0, |byte| {
        usize::from(matches!(byte, b',' | b'[' | b'{'))
    })
}

/// The sum of `of_character` for each character of texts, and of `of_byte` for each byte outside of them.
fn sum_bytes(json: &[u8], of_character: usize, of_byte: impl Fn(u8) -> usize) -> usize {
    let (mut sum, mut is_text, mut is_escaped) = (0, false, false);
    for &byte in json {
        sum += match byte {
            _ if is_escaped => {
                is_escaped = false;
                of_character
            }
            b'\\' if is_text => {
                is_escaped = true;
                0
            }
            b'"' => {
                is_text = !is_text;
                0
            }
            _ if is_text => of_character,
            _ => of_byte(byte),
        };
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn list_of_a_million_numbers_fits_and_4_million_do_not() {
        let list = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        for (count, fits) in [(1_000_000, true), (4_000_000, false)] {
            let json = list(count);
            assert_eq!(parsed_bytes(json.as_bytes()) <= MAX_PARSED_BYTES, fits);
            let value: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(exceeds_memory(&value), !fits);
        }
    }

    #[test]
    fn realistic_message_of_8_mib_fits() {
        const LENGTH: usize = 8 * 1024 * 1024;
        for item in [
            "0.12345678,",
            "\"some text\",",
            "{\"name\": \"Ada Lovelace\", \"email\": \"ada@example.com\", \"tags\": [\"maths\", \"poetry\"], \
             \"born\": 1815, \"about\": \"A mathematician and writer, known for her work on a computer.\"},",
        ] {
            let json = format!("[{}1]", item.repeat(LENGTH / item.len()));
            let bytes = parsed_bytes(json.as_bytes());
            assert!(bytes <= MAX_PARSED_BYTES, "{item}: {bytes}");
        }
    }

    #[test]
    fn text_takes_its_length_whatever_it_contains() {
        let text = format!("\"{}\"", ",[{\\\"".repeat(1_000_000));
        assert!(parsed_bytes(text.as_bytes()) < text.len());
    }
}
