//! JSON output. Numbers keep the digits of their source and are never parsed into a number type.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::Failure;

const INDENT: &str = "  ";

/// A value on one line, or over several if `pretty`.
pub(crate) fn text(value: &RawValue, pretty: bool) -> String {
    if pretty {
        over_lines(value.get())
    } else {
        on_one_line(value.get()).into_owned()
    }
}

/// A value as JSON on one line.
pub(crate) fn line(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(value).map_err(serialize_failure)?;
    Ok(on_one_line(&json).into_owned())
}

/// The error of a value that cannot be serialized as JSON.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that map_err expects"
)]
pub(crate) fn serialize_failure(error: serde_json::Error) -> Failure {
    Failure::local(format!("the result cannot be serialized as JSON: {error}"))
}

/// The same JSON on one line, without control characters.
///
/// In valid JSON, a control character is either white space between values, which becomes a space,
/// or DEL or a character from U+0080 on in a string, which is escaped.
pub(crate) fn on_one_line(json: &str) -> Cow<'_, str> {
    if !json.contains(char::is_control) {
        return Cow::Borrowed(json);
    }
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            _ => push(&mut line, character),
        }
    }
    Cow::Owned(line)
}

/// The same JSON with one line per member and element.
fn over_lines(json: &str) -> String {
    let mut lines = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut characters = json.chars().without_white_space().peekable();
    while let Some((character, in_string)) = characters.next() {
        if in_string {
            push(&mut lines, character);
            continue;
        }
        match character {
            '{' | '[' => {
                lines.push(character);
                match characters.next_if(|next| matches!(next, ('}' | ']', false))) {
                    Some((close, _)) => lines.push(close),
                    None => {
                        depth += 1;
                        new_line(&mut lines, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut lines, depth);
                lines.push(character);
            }
            ',' => {
                lines.push(character);
                new_line(&mut lines, depth);
            }
            ':' => lines.push_str(": "),
            _ => lines.push(character),
        }
    }
    lines
}

fn new_line(lines: &mut String, depth: usize) {
    lines.push('\n');
    lines.extend(std::iter::repeat_n(INDENT, depth));
}

fn push(text: &mut String, character: char) {
    if character.is_control() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{:04x}", u32::from(character));
    } else {
        text.push(character);
    }
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
    use super::{on_one_line, over_lines};

    #[test]
    fn value_on_one_line_is_the_same_value() {
        assert_eq!(on_one_line("[1.10, 2]"), "[1.10, 2]");
        assert_eq!(on_one_line("{\n\t\"a\": 1\r\n}"), "{  \"a\": 1  }");
        let controls = "\"\u{7f}\u{9b}31m\"";
        assert_eq!(on_one_line(controls), r#""\u007f\u009b31m""#);
        assert_eq!(
            serde_json::from_str::<String>(&on_one_line(controls)).ok(),
            serde_json::from_str::<String>(controls).ok()
        );
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
            let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
            let expected = serde_json::to_string_pretty(&value).unwrap_or_default();
            assert_eq!(over_lines(json), expected, "{json}");
            assert_eq!(over_lines(&expected), expected, "{json}");
        }
        assert_eq!(
            over_lines("[1.10,123456789012345678901234567890]"),
            "[\n  1.10,\n  123456789012345678901234567890\n]"
        );
    }
}
