//! Text from the mesh, made safe for a terminal.

use std::fmt::Write;

use openagentmesh::protocol::name::{Visible, is_visible};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// To the second, in UTC.
const FOR_PEOPLE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");

/// The time of a day, in UTC.
const CLOCK: &[BorrowedFormatItem<'_>] =
    format_description!("[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Escapes invisible characters, except line breaks and tabs.
pub(crate) fn printable(text: &str) -> String {
    escape(text, |character| {
        !is_visible(character) && !matches!(character, '\n' | '\t')
    })
}

/// Escapes all invisible characters, so that the text stays on one line.
pub(crate) fn on_one_line(text: &str) -> String {
    Visible(text).to_string()
}

/// Truncates the text after `max_chars` characters.
pub(crate) fn truncated(text: String, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A time for people.
pub(crate) fn time(time: OffsetDateTime) -> String {
    time.format(FOR_PEOPLE).unwrap_or_else(|_| time.to_string())
}

/// The time of a day for people, to the millisecond.
pub(crate) fn clock(time: OffsetDateTime) -> String {
    time.format(CLOCK).unwrap_or_else(|_| time.to_string())
}

/// A time for programs, as RFC 3339.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{clock, on_one_line, printable, time, timestamp, truncated};

    #[test]
    fn text_with_control_characters_is_escaped() {
        assert_eq!(printable("a\tb\nc\u{1b}[31m"), "a\tb\nc\\u{1b}[31m");
        assert_eq!(on_one_line("ä\tb\nc\u{9b}"), "ä\\tb\\nc\\u{9b}");
    }

    #[test]
    fn text_with_invisible_characters_is_escaped() {
        let ranges = [
            '\u{202a}'..='\u{202e}',
            '\u{2066}'..='\u{2069}',
            '\u{200b}'..='\u{200f}',
            '\u{61c}'..='\u{61c}',
            '\u{2060}'..='\u{2060}',
            '\u{feff}'..='\u{feff}',
            '\u{34f}'..='\u{34f}',
            '\u{115f}'..='\u{1160}',
            '\u{180b}'..='\u{180f}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0d}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{e0100}'..='\u{e01ef}',
        ];
        for character in ranges.into_iter().flatten() {
            let expected = format!("a\\u{{{:x}}}b", u32::from(character));
            assert_eq!(printable(&format!("a{character}b")), expected);
            assert_eq!(on_one_line(&format!("a{character}b")), expected);
        }
        let visible = "Zoë שלום 你好 🦀 ❤\u{fe0f} a\u{301}";
        assert_eq!(printable(visible), visible);
    }

    #[test]
    fn long_text_is_truncated_between_characters() {
        assert_eq!(truncated("äöü".to_owned(), 3), "äöü");
        assert_eq!(truncated("äöü".to_owned(), 2), "äö…");
    }

    #[test]
    fn time_is_formatted_for_people_and_for_programs() {
        let noon = datetime!(2026-11-22 12:00:00.25 UTC);
        assert_eq!(time(noon), "2026-11-22 12:00:00Z");
        assert_eq!(clock(noon), "12:00:00.250Z");
        assert_eq!(timestamp(noon), "2026-11-22T12:00:00.25Z");
    }
}
