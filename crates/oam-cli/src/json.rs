//! JSON output. Numbers keep the digits of their source and are never parsed into a number type.

use std::io::{self, Write};

use serde_json::value::RawValue;

use crate::failure::Failure;
use openagentmesh::protocol::name::is_visible;

const INDENT: &[u8] = b"  ";

/// The indentation does not grow beyond this depth: it would take the square of the value's size.
const MAX_INDENT_DEPTH: usize = 32;

/// The error of a value that cannot be serialized as JSON.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that map_err expects"
)]
pub(crate) fn serialize_failure(error: serde_json::Error) -> Failure {
    Failure::local(format!("the result cannot be serialized as JSON: {error}"))
}

/// Writes a value on one line, or over several if `pretty`.
pub(crate) fn write(out: &mut impl Write, value: &RawValue, pretty: bool) -> io::Result<()> {
    if pretty {
        write_over_lines(out, value.get())
    } else {
        write_on_one_line(out, value.get())
    }
}

/// The same JSON on one line, without invisible characters.
pub(crate) fn on_one_line(json: &str) -> String {
    let mut line = Vec::with_capacity(json.len());
    // Writing to a vector cannot fail, and the JSON and its escapes are UTF-8.
    drop(write_on_one_line(&mut line, json));
    String::from_utf8_lossy(&line).into_owned()
}

/// The same JSON over several lines, without invisible characters.
pub(crate) fn over_lines(json: &str) -> String {
    let mut lines = Vec::with_capacity(json.len() * 2);
    // As above.
    drop(write_over_lines(&mut lines, json));
    String::from_utf8_lossy(&lines).into_owned()
}

/// In valid JSON, an invisible character is either white space between values, which becomes a space,
/// or a part of a string, which is escaped.
fn write_on_one_line(out: &mut impl Write, json: &str) -> io::Result<()> {
    if json.chars().all(is_visible) {
        return out.write_all(json.as_bytes());
    }
    for character in json.chars() {
        match character {
            '\n' | '\r' | '\t' => out.write_all(b" ")?,
            _ => write_character(out, character)?,
        }
    }
    Ok(())
}

/// Writes the same JSON with one line per member and element.
fn write_over_lines(out: &mut impl Write, json: &str) -> io::Result<()> {
    let mut depth = 0_usize;
    let mut characters = json.chars().without_white_space().peekable();
    while let Some((character, in_string)) = characters.next() {
        if in_string {
            write_character(out, character)?;
            continue;
        }
        if matches!(character, '}' | ']') {
            depth = depth.saturating_sub(1);
            write_line_break(out, depth)?;
        }
        write_character(out, character)?;
        match character {
            '{' | '[' => match characters.next_if(|next| matches!(next, ('}' | ']', false))) {
                Some((close, _)) => write_character(out, close)?,
                None => {
                    depth += 1;
                    write_line_break(out, depth)?;
                }
            },
            ',' => write_line_break(out, depth)?,
            ':' => out.write_all(b" ")?,
            _ => {}
        }
    }
    Ok(())
}

fn write_line_break(out: &mut impl Write, depth: usize) -> io::Result<()> {
    out.write_all(b"\n")?;
    for _ in 0..depth.min(MAX_INDENT_DEPTH) {
        out.write_all(INDENT)?;
    }
    Ok(())
}

fn write_character(out: &mut impl Write, character: char) -> io::Result<()> {
    if is_visible(character) {
        return out.write_all(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    for unit in character.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}")?;
    }
    Ok(())
}

/// Pairs each character of a JSON text with whether it is part of a string.
trait JsonCharacters: Iterator<Item = char> + Sized {
    /// Skips white space between values.
    fn without_white_space(self) -> impl Iterator<Item = (char, bool)> {
        let mut in_string = false;
        let mut escaped = false;
        self.filter_map(move |character| {
            if in_string {
                in_string = escaped || character != '"';
                escaped = !escaped && character == '\\';
                return Some((character, true));
            }
            in_string = character == '"';
            (!character.is_ascii_whitespace()).then_some((character, in_string))
        })
    }
}

impl<I: Iterator<Item = char>> JsonCharacters for I {}

#[cfg(test)]
mod tests {
    use super::{MAX_INDENT_DEPTH, on_one_line, over_lines};

    #[test]
    fn value_on_one_line_is_the_same_value() {
        assert_eq!(on_one_line("[1.10, 2]"), "[1.10, 2]");
        assert_eq!(on_one_line("{\n\t\"a\": 1\r\n}"), "{  \"a\": 1  }");
        for (invisible, expected) in [
            ("\"\u{7f}\u{9b}31m\"", r#""\u007f\u009b31m""#),
            (
                "\"a\u{202e}b\u{200d}\u{feff}\"",
                r#""a\u202eb\u200d\ufeff""#,
            ),
            ("\"\u{e0041}\"", r#""\udb40\udc41""#),
        ] {
            assert_eq!(on_one_line(invisible), expected);
            assert_eq!(over_lines(invisible), expected);
            assert_eq!(
                serde_json::from_str::<String>(expected).ok(),
                serde_json::from_str::<String>(invisible).ok()
            );
        }
    }

    #[test]
    fn value_over_lines_equals_serde_json_but_keeps_digits() {
        for json in [
            r#"{"a":[1,2,{}],"b\"\\":{"c":[],"d : ,[":null},"e":"{ }"}"#,
            r#""just a text, with: [signs]""#,
            "[]",
            "[[[1]]]",
            "17",
        ] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let expected = serde_json::to_string_pretty(&value).unwrap();
            assert_eq!(over_lines(json), expected, "{json}");
            assert_eq!(over_lines(&expected), expected, "{json}");
        }
        assert_eq!(
            over_lines("[1.10,123456789012345678901234567890]"),
            "[\n  1.10,\n  123456789012345678901234567890\n]"
        );
    }

    #[test]
    fn indentation_of_a_deep_value_stops_growing() {
        const DEPTH: usize = 10_000;
        let json = format!("{}1{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        let lines = over_lines(&json);
        assert!(
            lines.len() < json.len() * (MAX_INDENT_DEPTH + 1) * 2,
            "{} bytes",
            lines.len()
        );
        let without_white_space: String = lines.split_whitespace().collect();
        assert_eq!(without_white_space, json);
    }
}
