//! The words of a bash command line up to the cursor, and the text that completes the last one.

/// The quotes that are open at a position of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
}

/// A command line up to the cursor.
#[derive(Debug)]
pub(super) struct BashLine<'l> {
    /// The words without quotes; the last is the one at the cursor, and may be empty.
    words: Vec<String>,
    /// The last word as it is typed.
    typed: &'l str,
}

impl<'l> BashLine<'l> {
    /// Reads a line. Expansions such as `$NAME` are not done: the shell would run commands for them.
    pub(super) fn parse(line: &'l str) -> Self {
        let mut words = Vec::new();
        let mut reader = Reader::default();
        let mut start = 0;
        for (position, character) in line.char_indices() {
            if reader.is_between_words(character) {
                if position > start {
                    words.push(std::mem::take(&mut reader.text));
                }
                start = position + character.len_utf8();
            } else {
                reader.read(character);
            }
        }
        words.push(reader.text);
        let typed = &line[start..];
        Self { words, typed }
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The text that makes the last word `value`, in place of `replaced`, the end of the typed word that bash replaces.
    /// `None` if the value does not fit, or cannot be quoted within the open quotes.
    pub(super) fn replacement(&self, replaced: &str, value: &str) -> Option<String> {
        let kept = self.typed.strip_suffix(replaced)?;
        let mut reader = Reader::default();
        kept.chars().for_each(|character| reader.read(character));
        if !value.starts_with(self.words.last()?) {
            return None;
        }
        quoted(
            value.strip_prefix(&reader.text)?,
            reader.quotes,
            kept.is_empty(),
        )
    }
}

/// The word without its quotes, which may be open at the end.
pub(super) fn unquoted(typed: &str) -> String {
    let mut reader = Reader::default();
    typed.chars().for_each(|character| reader.read(character));
    reader.text
}

/// Removes the quotes of a word, character by character.
#[derive(Debug)]
struct Reader {
    text: String,
    quotes: Quotes,
    is_escaped: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            text: String::new(),
            quotes: Quotes::None,
            is_escaped: false,
        }
    }
}

impl Reader {
    fn is_between_words(&self, character: char) -> bool {
        self.quotes == Quotes::None && !self.is_escaped && character.is_ascii_whitespace()
    }

    fn read(&mut self, character: char) {
        let is_escaped = std::mem::take(&mut self.is_escaped);
        match (self.quotes, character) {
            (Quotes::Double, _) if is_escaped => {
                if !matches!(character, '"' | '\\' | '$' | '`') {
                    self.text.push('\\');
                }
                self.text.push(character);
            }
            _ if is_escaped => self.text.push(character),
            (Quotes::None | Quotes::Double, '\\') => self.is_escaped = true,
            (Quotes::None, '\'') => self.quotes = Quotes::Single,
            (Quotes::None, '"') => self.quotes = Quotes::Double,
            (Quotes::Single, '\'') | (Quotes::Double, '"') => self.quotes = Quotes::None,
            _ => self.text.push(character),
        }
    }
}

/// `text` as the rest of a word; `is_start` if nothing of the word precedes it.
fn quoted(text: &str, quotes: Quotes, is_start: bool) -> Option<String> {
    match quotes {
        Quotes::Single => (!text.contains('\'')).then(|| text.to_owned()),
        // An escaped `!` keeps its backslash within double quotes, and without one is an event of the history.
        Quotes::Double if text.contains('!') => None,
        Quotes::Double => Some(escaped(text, |c| matches!(c, '"' | '\\' | '$' | '`'))),
        Quotes::None => {
            let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
            let text = escaped(text, |c| !is_plain(c) && c != '~');
            // Elsewhere, a tilde is a character of a name.
            Some(match is_start && text.starts_with('~') {
                true => format!("\\{text}"),
                false => text,
            })
        }
    }
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) {
            result.push('\\');
        }
        result.push(character);
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::BashLine;

    #[track_caller]
    fn assert_words(line: &str, words: &[&str]) {
        assert_eq!(BashLine::parse(line).words(), words, "{line}");
    }

    #[test]
    fn line_is_split_at_unquoted_whitespace() {
        assert_words("oam ", &["oam", ""]);
        assert_words("oam  kv get", &["oam", "kv", "get"]);
        assert_words(
            "oam --url nats://a:1 --creds 'a b' x\\ y",
            &["oam", "--url", "nats://a:1", "--creds", "a b", "x y"],
        );
        assert_words("oam get \"a \\\" \\n", &["oam", "get", "a \" \\n"]);
        assert_words("oam get '' \"\"", &["oam", "get", "", ""]);
    }

    #[test]
    fn replacement_is_quoted_as_the_word_has_begun() {
        for (line, replaced, value, expected) in [
            ("oam get ", "", "plain.key", Some("plain.key")),
            (
                "oam get ",
                "",
                "a b'c\"d$(x)`y`;*",
                Some(r#"a\ b\'c\"d\$\(x\)\`y\`\;\*"#),
            ),
            ("oam get a\\ ", "a\\ ", "a b", Some("a\\ b")),
            ("oam get 'a ", "a ", "a b$c", Some("a b$c")),
            ("oam get 'a", "a", "a'b", None),
            ("oam get \"a", "a", "a \"$b", Some(r#"a \"\$b"#)),
            ("oam get \"a", "a", "a!", None),
            ("oam get ", "", "~/a", Some("\\~/a")),
            ("oam --creds ~", "~", "~x", Some("\\~x")),
            // bash replaces the part after the last `=` or `:`.
            ("oam get x=a", "a", "x=ab c", Some("ab\\ c")),
            (
                "oam --url=nats://h:42",
                "42",
                "--url=nats://h:4222",
                Some("4222"),
            ),
            ("oam get other", "other", "value", None),
        ] {
            let line = BashLine::parse(line);
            let replacement = line.replacement(replaced, value);
            assert_eq!(replacement.as_deref(), expected, "{line:?} {value}");
        }
    }
}
