//! Quoting for the shells that have a completion script.

use crate::shell::{posix_quoted, single_quoted};

/// `text` as one word of a POSIX shell.
pub(super) fn posix(text: &str) -> String {
    posix_quoted(text)
}

/// `text` as one word of fish.
pub(super) fn fish(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// `text` as one word of PowerShell.
pub(super) fn powershell(text: &str) -> String {
    single_quoted(text)
}

/// `text` as one word of Elvish.
pub(super) fn elvish(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `text` as one word of PowerShell, unquoted where that is possible.
pub(super) fn powershell_if_needed(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=\\".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => powershell(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{elvish, fish, posix, powershell, powershell_if_needed};

    #[test]
    fn quote_within_a_word_is_escaped() {
        assert_eq!(posix("it's"), r"'it'\''s'");
        assert_eq!(fish(r"it's a\b"), r"'it\'s a\\b'");
        assert_eq!(powershell("it's ‘a’ $b"), "'it''s ‘‘a’’ $b'");
        assert_eq!(elvish("it's"), "'it''s'");
        assert_eq!(powershell_if_needed("a.b-c"), "a.b-c");
        assert_eq!(powershell_if_needed("a; b"), "'a; b'");
    }
}
