//! What others wrote, as a terminal can show it.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// The same for every time: to the second, in UTC.
const FOR_PEOPLE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");

/// The text without what a terminal would take for a command.
pub(crate) fn printable(text: &str) -> String {
    without(text, |character| {
        character.is_control() && !matches!(character, '\n' | '\t')
    })
}

/// As [`printable`], on one line.
pub(crate) fn on_one_line(text: &str) -> String {
    without(text, char::is_control)
}

/// The beginning of a text that is longer than `longest` characters.
pub(crate) fn shortened(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A time for people.
pub(crate) fn time(time: OffsetDateTime) -> String {
    time.format(FOR_PEOPLE).unwrap_or_else(|_| time.to_string())
}

/// A time for programs, as RFC 3339 has it.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

fn without(text: &str, is_command: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_command(character) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{on_one_line, printable, shortened, time, timestamp};

    #[test]
    fn no_text_commands_a_terminal() {
        assert_eq!(printable("a\tb\nc\u{1b}[31m"), "a\tb\nc\\u{1b}[31m");
        assert_eq!(on_one_line("ä\tb\nc\u{9b}"), "ä\\tb\\nc\\u{9b}");
    }

    #[test]
    fn a_text_is_shortened_between_characters() {
        assert_eq!(shortened("äöü".to_owned(), 3), "äöü");
        assert_eq!(shortened("äöü".to_owned(), 2), "äö…");
    }

    #[test]
    fn times_are_read_by_people_and_by_programs() {
        let noon = datetime!(2026-11-22 12:00:00.25 UTC);
        assert_eq!(time(noon), "2026-11-22 12:00:00Z");
        assert_eq!(timestamp(noon), "2026-11-22T12:00:00.25Z");
    }
}
