//! Quoting for a POSIX shell.

use std::borrow::Cow;

/// `text` as one word of a POSIX shell.
pub(crate) fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':');
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn word_with_special_characters_is_quoted() {
        assert_eq!(word("-1.5"), "-1.5");
        assert_eq!(word("\"hello\""), "'\"hello\"'");
        assert_eq!(word("\"it's\""), r#"'"it'\''s"'"#);
        assert_eq!(word("[1]"), "'[1]'");
        assert_eq!(word(""), "''");
    }
}
