//! Patterns, which are those of JavaScript.

use regex::Regex;

/// A pattern that strings are searched for.
pub(super) struct Pattern {
    /// As the schema has it.
    pub(super) source: String,
    regex: Regex,
}

impl Pattern {
    /// # Errors
    ///
    /// Why it is none.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let regex = Regex::new(&translated(source)).map_err(|error| reason(&error))?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// The same pattern for a regular expression of Rust: there `\d` and `\w` take the digits and letters of all
/// languages, and a class may have classes in it.
fn translated(source: &str) -> String {
    let mut translated = String::with_capacity(source.len());
    let mut in_class = false;
    let mut characters = source.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('d') => translated.push_str("[0-9]"),
                Some('D') => translated.push_str("[^0-9]"),
                Some('w') => translated.push_str("[A-Za-z0-9_]"),
                Some('W') => translated.push_str("[^A-Za-z0-9_]"),
                // A control character: `\cA` is 1.
                Some('c') => match characters.next_if(char::is_ascii_alphabetic) {
                    Some(letter) => {
                        let code = u32::from(letter) % 32;
                        translated.push_str(&format!("\\x{code:02X}"));
                    }
                    None => translated.push_str("\\c"),
                },
                Some(escaped) => translated.extend(['\\', escaped]),
                None => translated.push('\\'),
            },
            '[' if in_class && characters.peek() != Some(&':') => translated.push_str("\\["),
            '&' | '~' if in_class => translated.extend(['\\', character]),
            '[' | ']' => {
                in_class = character == '[';
                translated.push(character);
            }
            _ => translated.push(character),
        }
    }
    translated
}

/// The last line of what the engine says, which draws the pattern before.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn patterns_are_those_of_javascript() {
        assert!(matches(r"^\d+$", "42"));
        assert!(!matches(r"^\d+$", "\u{09EA}2"));
        assert!(!matches(r"^\w+$", "é"));
        assert!(matches(r"^\W$", "é"));
        assert!(matches(r"^[\w-]+$", "a-b"));
        assert!(matches(r"^[^\d]$", "x"));
        assert!(matches(r"^[[&&~]+$", "[&~"));
        assert!(matches(r"^\cA\/\-$", "\u{1}/-"));
        assert!(matches(r"^\u00e9(?<name>x)$", "éx"));
        assert!(matches("a", "cat"), "a pattern is searched for");
        assert!(matches("^é?$", "é"));
    }

    #[test]
    fn a_pattern_that_is_none_is_told_in_a_line() {
        let reason = |pattern| Pattern::new(pattern).err().unwrap();
        assert_eq!(reason("("), "unclosed group");
        assert!(
            reason("a(?=b)").contains("look-around"),
            "{}",
            reason("a(?=b)")
        );
    }
}
