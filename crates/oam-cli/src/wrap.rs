//! Text within the width of a terminal, broken between words. A command to paste is never broken.

use std::borrow::Cow;
use std::sync::LazyLock;

use anstream::adapter::strip_str;
use clap::{Arg, Command};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The commands of `oam`, by which the end of a command within a sentence is found.
static COMMANDS: LazyLock<Command> = LazyLock::new(crate::cli::Cli::definitions);

/// Other commands of hints, and the number of their words.
const OTHER_COMMANDS: [(&str, usize); 3] = [("cd", 2), ("export", 2), ("mkdir", 3)];

/// A command in a sentence ends before these.
const PUNCTUATION: [char; 6] = [';', ',', ':', '.', ')', '`'];

/// A part of a line that is not broken.
struct Piece<'t> {
    text: &'t str,
    width: usize,
    /// The number of spaces up to the next piece.
    spaces: usize,
}

/// Breaks each line of `text` that is wider than `width` terminal columns. A line that continues is indented like its
/// first one, and by `hanging` columns more. A word wider than the terminal stays whole.
pub(crate) fn wrap(text: &str, width: usize, hanging: usize) -> String {
    let lines = text.split('\n').map(|line| {
        if width_of(line) <= width {
            return Cow::Borrowed(line);
        }
        Cow::Owned(broken(line, width, hanging))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The terminal columns of `text`, without its styles.
fn width_of(text: &str) -> usize {
    plain(text).width()
}

fn plain(text: &str) -> Cow<'_, str> {
    match text.contains('\u{1b}') {
        true => strip_str(text).to_string().into(),
        false => text.into(),
    }
}

fn broken(line: &str, width: usize, hanging: usize) -> String {
    let words = line.trim_start_matches(' ');
    let indent = line.len() - words.len();
    // The text keeps half of a narrow terminal.
    let next_indent = (indent + hanging).min(width / 2);
    let mut broken = " ".repeat(indent);
    let (mut column, mut spaces, mut is_first) = (indent, 0, true);
    for piece in pieces(words) {
        if !is_first && column + spaces + piece.width > width {
            broken.push('\n');
            // A long word, such as an address, gets the place of the indentation.
            column = next_indent.min(width.saturating_sub(piece.width));
            spaces = column;
        } else {
            column += spaces;
        }
        broken.extend(std::iter::repeat_n(' ', spaces));
        broken.push_str(piece.text);
        column += piece.width;
        spaces = piece.spaces;
        is_first = false;
    }
    broken
}

/// The pieces of a line: commands, words, and the parts of words in a script without spaces.
fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let words: Vec<&str> = rest.split(' ').collect();
        let end = match command_length(&words) {
            0 => words[0].len(),
            length => {
                words[..length]
                    .iter()
                    .map(|word| word.len() + 1)
                    .sum::<usize>()
                    - 1
            }
        };
        let (text, following) = rest.split_at(end);
        rest = following.trim_start_matches(' ');
        let spaces = following.len() - rest.len();
        push_parts(&mut pieces, text);
        if let Some(last) = pieces.last_mut() {
            last.spaces = spaces;
        }
    }
    pieces
}

/// Adds `text`, in several parts if it is of a script without spaces.
fn push_parts<'t>(pieces: &mut Vec<Piece<'t>>, text: &'t str) {
    let is_wide = |character: char| character.width() == Some(2);
    let mut start = 0;
    let mut previous = None;
    let mut push = |part: &'t str| {
        pieces.push(Piece {
            text: part,
            width: width_of(part),
            spaces: 0,
        });
    };
    for (index, character) in text.char_indices() {
        // Emoji and signs such as a full stop do not begin a line.
        if previous.is_some_and(is_wide) && is_wide(character) && character.is_alphanumeric() {
            push(&text[start..index]);
            start = index;
        }
        previous = Some(character);
    }
    push(&text[start..]);
}

/// The number of words at the beginning of `words` that are a command to paste; 0 if none is there.
fn command_length(words: &[&str]) -> usize {
    let Some(first) = words.first().map(|word| plain(word)) else {
        return 0;
    };
    let name = first
        .trim_start_matches(|character: char| !character.is_alphanumeric() && character != '/');
    let length = if name.rsplit('/').next() == Some("oam") {
        oam_length(words)
    } else {
        let other = OTHER_COMMANDS.iter().find(|(other, _)| *other == name);
        other.map_or(0, |(_, length)| *length)
    };
    match words.get(length) {
        Some(&"&&") if length > 0 => length + 1 + command_length(&words[length + 1..]),
        _ => length.min(words.len()),
    }
}

/// The number of words of a command of `oam`: the names of the command, its options and its arguments.
fn oam_length(words: &[&str]) -> usize {
    let mut command = &*COMMANDS;
    let mut arguments = 0;
    let mut length = 1;
    while let Some(word) = words.get(length) {
        let word = plain(word);
        let bare = word.trim_end_matches(PUNCTUATION);
        if bare.is_empty() || bare.starts_with(['[', '<', '(']) {
            break;
        }
        if let Some(sub) = command.find_subcommand(bare) {
            command = sub;
            arguments = command.get_positionals().count();
            length += 1;
        } else if bare.starts_with("--") {
            let option = option(command, bare.trim_start_matches('-'));
            length += 1;
            if option.is_some_and(|option| option.get_action().takes_values()) {
                length += argument_length(&words[length.min(words.len())..]);
            }
        } else if arguments > 0 {
            arguments -= 1;
            length += argument_length(&words[length..]);
        } else if bare.starts_with('-') {
            length += 1;
        } else {
            break;
        }
        // A sentence goes on after the command.
        if words
            .get(length - 1)
            .is_some_and(|last| plain(last).ends_with(PUNCTUATION))
        {
            break;
        }
    }
    length.min(words.len())
}

fn option<'c>(command: &'c Command, long: &str) -> Option<&'c Arg> {
    let options = command.get_arguments().chain(COMMANDS.get_arguments());
    options
        .into_iter()
        .find(|option| option.get_long() == Some(long))
}

/// The number of words of an argument: several between single quotes, else one.
fn argument_length(words: &[&str]) -> usize {
    let mut is_open = false;
    let end = words.iter().position(|word| {
        is_open ^= word.matches('\'').count() % 2 == 1;
        !is_open
    });
    end.map_or(1, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn line_that_fits_is_unchanged() {
        for text in ["", "a", "  a  b", "a\n  b\n", "数を数える"] {
            assert_eq!(wrap(text, 10, 2), text);
        }
    }

    #[test]
    fn long_line_is_broken_between_words_and_keeps_its_indentation() {
        assert_eq!(
            wrap("  hint: the agent takes no input\nnext", 16, 2),
            "  hint: the\n    agent takes\n    no input\nnext"
        );
        assert_eq!(
            wrap("Name      one two three", 16, 10),
            "Name      one\n        two\n        three"
        );
        assert_eq!(
            wrap("  see https://example.com/a-long-page now", 10, 2),
            "  see\nhttps://example.com/a-long-page\n    now"
        );
        assert_eq!(
            wrap("  see 12345678 now", 10, 2),
            "  see\n  12345678\n    now"
        );
    }

    #[test]
    fn styles_have_no_width() {
        assert_eq!(
            wrap("\u{1b}[1mone\u{1b}[0m two three", 7, 0),
            "\u{1b}[1mone\u{1b}[0m two\nthree"
        );
    }

    #[test]
    fn script_without_spaces_is_broken_between_characters() {
        assert_eq!(wrap("数を数える。出力", 10, 0), "数を数え\nる。出力");
        assert_eq!(wrap("🦀🦀🦀🦀🦀🦀", 10, 0), "🦀🦀🦀🦀🦀🦀");
    }

    #[test]
    fn command_is_not_broken() {
        for (text, expected) in [
            (
                "lists the agents: oam mesh catalog",
                "lists the agents:\noam mesh catalog",
            ),
            (
                "oam mesh catalog lists the agents of all",
                "oam mesh catalog\nlists the agents of\nall",
            ),
            (
                "write oam agent call a '{\"b\": \"c d\"}' --timeout 5 to wait",
                "write\noam agent call a '{\"b\": \"c d\"}' --timeout 5\nto wait",
            ),
            (
                "stop it with: cd /tmp/a && oam mesh down, or wait",
                "stop it with:\ncd /tmp/a && oam mesh down,\nor wait",
            ),
            (
                "use it, or \u{1b}[36moam mesh down --force\u{1b}[0m now",
                "use it, or\n\u{1b}[36moam mesh down --force\u{1b}[0m\nnow",
            ),
        ] {
            assert_eq!(wrap(text, 20, 0), expected);
        }
    }
}
