//! Patterns of ECMA-262 with the flag `u` in the syntax of the crate `regex`.

use std::fmt::Write;
use std::iter::Peekable;
use std::str::Chars;

use jsonschema_regex::is_valid_ecma_regex;

/// The first and the last character of a class, for `.`, `\s`, `\d` and `\w`.
const NO_LINE_END: &str = r"[^\n\r\u{2028}\u{2029}]";
const SPACE: &str =
    r"\t-\r\u{20}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";
const NO_SPACE: &str = r"\u{0}-\u{8}\u{e}-\u{1f}!-\u{9f}\u{a1}-\u{167f}\u{1681}-\u{1fff}\u{200b}-\u{2027}\u{202a}-\u{202e}\u{2030}-\u{205e}\u{2060}-\u{2fff}\u{3001}-\u{fefe}\u{ff00}-\u{10ffff}";
const DIGIT: &str = "0-9";
const NO_DIGIT: &str = r"\u{0}-\u{2f}\u{3a}-\u{10ffff}";
const WORD: &str = "A-Za-z0-9_";
const NO_WORD: &str = r"\u{0}-\u{2f}\u{3a}-\u{40}\u{5b}-\u{5e}\u{60}\u{7b}-\u{10ffff}";

/// Translates `pattern`, so that the crate `regex` matches the same texts as ECMA-262 with the flag `u`.
///
/// A backslash before a character that is neither a letter nor a digit is that character.
///
/// # Errors
///
/// The unsupported part of the pattern, and the supported way to write it.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    if !is_valid_ecma_regex(pattern) {
        return Err(invalid_reason(pattern));
    }
    let mut translator = Translator {
        chars: pattern.chars().peekable(),
        translated: String::with_capacity(pattern.len()),
    };
    translator.run()?;
    Ok(translator.translated)
}

/// The reason why `pattern` is invalid, in the words of the parser of the crate `regex` if that refuses
/// it as well.
fn invalid_reason(pattern: &str) -> String {
    let letter = pattern.find('\\').and_then(|_| {
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c == '\\' {
                let escaped = chars.next()?;
                if escaped.is_ascii_alphabetic() && !"bBdDsSwWfnrtvcxukpP".contains(escaped) {
                    return Some(escaped);
                }
            }
        }
        None
    });
    match letter {
        Some('A') => r"unrecognized escape '\A'; write '^'".to_owned(),
        Some('Z' | 'z') => r"unrecognized escape '\Z' or '\z'; write '$'".to_owned(),
        Some(letter) => format!("unrecognized escape '\\{letter}'; write '{letter}'"),
        None => match super::budget::syntax_error(pattern) {
            Some(reason) => reason,
            None => "not a regular expression of ECMA-262 with the flag u; escape each of ( ) [ ] { } / \
                     that is a character itself"
                .to_owned(),
        },
    }
}

struct Translator<'p> {
    chars: Peekable<Chars<'p>>,
    translated: String,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '.' => self.translated.push_str(NO_LINE_END),
                '(' => self.group()?,
                // `regex` reads a space or `#` as itself, as it is used here without the flag `x`.
                _ => self.translated.push(c),
            }
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.translated.push('(');
        if self.chars.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.translated.push('?');
        match self.chars.peek().copied() {
            Some('=' | '!') => Err(LOOK_AROUND.to_owned()),
            Some('<') => {
                self.chars.next();
                match self.chars.peek() {
                    Some('=' | '!') => Err(LOOK_AROUND.to_owned()),
                    _ => {
                        self.translated.push('<');
                        Ok(())
                    }
                }
            }
            Some(':') => Ok(()),
            _ => Err(
                "unsupported flags in a group '(?i:'; write both cases in a class, such as [aA]"
                    .to_owned(),
            ),
        }
    }

    /// An escape outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        match self.chars.peek().copied() {
            Some('b') => self.replace(r"(?-u:\b)"),
            Some('B') => self.replace(r"(?-u:\B)"),
            Some('k' | '1'..='9') => {
                return Err("unsupported backreference; write the repeated part again".to_owned());
            }
            _ => match self.item()? {
                Item::Char(c) => self.push_literal(c),
                Item::Set(set) if set.starts_with("\\p") || set.starts_with("\\P") => {
                    self.translated.push_str(&set);
                }
                Item::Set(set) => {
                    // Writing to a `String` cannot fail.
                    let _ = write!(self.translated, "[{set}]");
                }
            },
        }
        Ok(())
    }

    fn replace(&mut self, by: &str) {
        self.chars.next();
        self.translated.push_str(by);
    }

    /// A class; its `[` was read.
    fn class(&mut self) -> Result<(), String> {
        let negated = self.chars.next_if_eq(&'^').is_some();
        if self.chars.next_if_eq(&']').is_some() {
            // `[]` matches nothing, `[^]` every character.
            let all = if negated { "" } else { "^" };
            let _ = write!(self.translated, r"[{all}\u{{0}}-\u{{10ffff}}]");
            return Ok(());
        }
        self.translated.push_str(if negated { "[^" } else { "[" });
        while let Some(c) = self.chars.next() {
            if c == ']' {
                break;
            }
            let first = self.class_item(c)?;
            let is_range = self.chars.peek() == Some(&'-') && {
                let mut ahead = self.chars.clone();
                ahead.next();
                ahead.next().is_some_and(|c| c != ']')
            };
            match first {
                Item::Char(first) if is_range => {
                    self.chars.next();
                    let last = self.chars.next().unwrap_or_default();
                    let Item::Char(last) = self.class_item(last)? else {
                        return Err("invalid range in a class; write '\\-' for a hyphen".to_owned());
                    };
                    self.push_literal(first);
                    self.translated.push('-');
                    self.push_literal(last);
                }
                Item::Char(c) => self.push_literal(c),
                Item::Set(set) => self.translated.push_str(&set),
            }
        }
        self.translated.push(']');
        Ok(())
    }

    fn class_item(&mut self, c: char) -> Result<Item, String> {
        match c {
            '\\' if self.chars.next_if_eq(&'b').is_some() => Ok(Item::Char('\u{8}')),
            '\\' => self.item(),
            c => Ok(Item::Char(c)),
        }
    }

    /// An escape of a character or a set of characters; its `\` was read.
    fn item(&mut self) -> Result<Item, String> {
        let set = |set: &str| Ok(Item::Set(set.to_owned()));
        match self.chars.next().unwrap_or_default() {
            'd' => set(DIGIT),
            'D' => set(NO_DIGIT),
            's' => set(SPACE),
            'S' => set(NO_SPACE),
            'w' => set(WORD),
            'W' => set(NO_WORD),
            escape @ ('p' | 'P') => {
                let name: String = self.chars.by_ref().take_while(|c| *c != '}').collect();
                Ok(Item::Set(format!("\\{escape}{name}}}")))
            }
            'f' => Ok(Item::Char('\u{c}')),
            'n' => Ok(Item::Char('\n')),
            'r' => Ok(Item::Char('\r')),
            't' => Ok(Item::Char('\t')),
            'v' => Ok(Item::Char('\u{b}')),
            '0' => Ok(Item::Char('\0')),
            'c' => {
                let letter = self.chars.next().unwrap_or_default();
                character(u32::from(letter) % 32)
            }
            'x' => character(self.hex(2)),
            'u' if self.chars.next_if_eq(&'{').is_some() => {
                let digits: String = self.chars.by_ref().take_while(|c| *c != '}').collect();
                character(u32::from_str_radix(&digits, 16).unwrap_or(u32::MAX))
            }
            'u' => {
                let high = self.hex(4);
                if !(0xd800..0xdc00).contains(&high) {
                    return character(high);
                }
                let mut ahead = self.chars.clone();
                if ahead.next() == Some('\\') && ahead.next() == Some('u') {
                    self.chars = ahead;
                    let low = self.hex(4);
                    if (0xdc00..0xe000).contains(&low) {
                        return character(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                    }
                }
                character(high)
            }
            c => Ok(Item::Char(c)),
        }
    }

    fn hex(&mut self, digits: usize) -> u32 {
        (0..digits).fold(0, |number, _| {
            let digit = self.chars.next().and_then(|c| c.to_digit(16));
            number * 16 + digit.unwrap_or_default()
        })
    }

    fn push_literal(&mut self, c: char) {
        match c {
            _ if c.is_ascii_alphanumeric() || matches!(c, '_' | '/') || u32::from(c) > 0xff => {
                self.translated.push(c);
            }
            // `regex` reads `\<` and `\>` as the bounds of a word.
            '!'..='~' if !matches!(c, '<' | '>') => {
                self.translated.push('\\');
                self.translated.push(c);
            }
            _ => {
                // Writing to a `String` cannot fail.
                let _ = write!(self.translated, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
}

const LOOK_AROUND: &str = "unsupported look-around, including look-ahead and look-behind; write one pattern for each condition \
     and combine them with allOf and not";

enum Item {
    Char(char),
    /// The inside of a class.
    Set(String),
}

fn character(code: u32) -> Result<Item, String> {
    char::from_u32(code).map(Item::Char).ok_or_else(|| {
        format!("unsupported surrogate \\u{code:04x}: a text has whole characters; write \\u{{1f600}} for U+1F600")
    })
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let translated = translate(pattern).unwrap();
        let again = jsonschema_regex::to_rust_regex(&translated).unwrap();
        Regex::new(&again).unwrap().is_match(text)
    }

    /// The verdicts are those of `RegExp(pattern, 'u')`.
    #[test]
    fn pattern_matches_the_texts_that_ecma_262_matches() {
        for (pattern, text, expected) in [
            ("^\\<.*\\>$", "<a>", true),
            ("^\\<.*\\>$", "a", false),
            ("^[+--]+$", ",-+", true),
            ("^[+--]+$", ".", false),
            ("^[^\\0]+$", "ab", true),
            ("^[^\\0]+$", "a\0", false),
            ("^\\0$", "\0", true),
            ("^\\uD83D\\uDE00$", "\u{1f600}", true),
            ("^[\\uD83D\\uDE00-\\u{1F602}]$", "\u{1f601}", true),
            ("^\\u00e9$", "é", true),
            ("^a.b$", "a\u{2028}b", false),
            ("^a.b$", "a\rb", false),
            ("^a.b$", "a\u{85}b", true),
            ("^\\s$", "\u{feff}", true),
            ("^\\s$", "\u{85}", false),
            ("^\\S$", "\u{85}", true),
            ("^[\\S]$", "\u{feff}", false),
            ("^\\d$", "\u{663}", false),
            ("^\\w$", "é", false),
            ("^\\W$", "é", true),
            ("\\bé", "é", false),
            ("^[\\b]$", "\u{8}", true),
            ("^[]$", "", false),
            ("^[^]$", "\n", true),
            ("^[a&&b]$", "&", true),
            ("^[[a]$", "[", true),
            ("^[a~~b]$", "~", true),
            ("^[\\w-]$", "-", true),
            ("^[a-]$", "-", true),
            ("^[-a]$", "-", true),
            ("^\\cA$", "\u{1}", true),
            ("^\\x41$", "A", true),
            ("^\\p{Script=Greek}$", "α", true),
            ("^\\P{L}$", "1", true),
            ("^(?<year>\\d{4})$", "2024", true),
            ("^(?:a|b)+?$", "ab", true),
            ("^a b#c$", "a b#c", true),
            ("^\\-\\@\\/$", "-@/", true),
            ("^é$", "é", true),
            ("^$", "\n", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn sets_are_the_complements_of_their_opposites() {
        for c in (0..=0x11_0000)
            .filter_map(char::from_u32)
            .step_by(7)
            .chain([
                '\t', '\r', '\u{e}', ' ', '!', '\u{85}', '\u{a0}', '\u{2029}', '\u{202f}',
                '\u{feff}', '_', 'z',
            ])
        {
            let text = c.to_string();
            for (set, opposite) in [(SPACE, NO_SPACE), (DIGIT, NO_DIGIT), (WORD, NO_WORD)] {
                thread_local! {
                    static COMPILED: std::cell::RefCell<std::collections::HashMap<&'static str, Regex>> =
                        std::cell::RefCell::default();
                }
                let is_in = |set: &'static str| {
                    COMPILED.with_borrow_mut(|compiled| {
                        compiled
                            .entry(set)
                            .or_insert_with(|| Regex::new(&format!("^[{set}]$")).unwrap())
                            .is_match(&text)
                    })
                };
                assert_ne!(is_in(set), is_in(opposite), "{c:?} {set}");
            }
        }
    }

    #[test]
    fn unsupported_pattern_is_refused_with_the_way_to_write_it() {
        for (pattern, reason) in [
            ("a(?=b)", "unsupported look-around"),
            ("a(?<!b)", "unsupported look-around"),
            ("(a)\\1", "unsupported backreference; write"),
            ("(?<a>a)\\k<a>", "unsupported backreference; write"),
            ("\\Aab\\Z", "unrecognized escape '\\A'; write '^'"),
            ("ab\\Z", "write '$'"),
            ("\\a", "unrecognized escape '\\a'; write 'a'"),
            ("^\\uD83D$", "unsupported surrogate"),
            ("(?i:a)", "unsupported flags in a group"),
            ("a{1,", "unclosed counted repetition"),
        ] {
            let found = translate(pattern).unwrap_err();
            assert!(found.contains(reason), "{pattern}: {found}");
        }
    }
}
