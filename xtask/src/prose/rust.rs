//! Finds comments, doc comments, texts and function names in Rust sources.

use super::text::{Block, Kind};

/// The blocks of `source`. The strings of a file of tests are left out, like those of test items.
pub(super) fn blocks(source: &str, is_test: bool) -> Vec<Block> {
    let tokens = Lexer::new(source).tokens();
    let tests = test_ranges(&tokens);
    let mut blocks: Vec<Block> = Vec::new();
    let mut before = None;
    for (index, token) in tokens.iter().enumerate() {
        match &token.kind {
            TokenKind::Comment { marker, own_line } => {
                let kind = if marker.is_empty() {
                    Kind::Comment
                } else {
                    Kind::Doc
                };
                let follows = before == Some((marker, token.line)) && *own_line;
                match blocks.last_mut() {
                    Some(block) if follows => block.lines.extend(token.lines.iter().cloned()),
                    _ => blocks.push(Block {
                        kind,
                        lines: token.lines.clone(),
                    }),
                }
                let next = token.line + token.lines.len();
                before = own_line.then_some((marker, next));
                continue;
            }
            TokenKind::Text => {
                let tested = is_test || tests.iter().any(|range| range.contains(&index));
                if !tested && reads_as_prose(&token.lines) {
                    blocks.push(Block {
                        kind: Kind::Text,
                        lines: token.lines.clone(),
                    });
                }
            }
            TokenKind::Word(word) => {
                let follows_fn = index
                    .checked_sub(1)
                    .is_some_and(|last| tokens[last].is_word("fn"));
                if follows_fn && word.matches('_').count() > 1 {
                    blocks.push(Block {
                        kind: Kind::Name,
                        lines: vec![(token.line, word.replace('_', " "))],
                    });
                }
            }
            TokenKind::Mark(_) => {}
        }
        before = None;
    }
    blocks
}

/// Whether a literal has at least three words, and words are most of its parts.
fn reads_as_prose(lines: &[(usize, String)]) -> bool {
    let text: Vec<&str> = lines.iter().map(|(_, line)| line.trim()).collect();
    if text.iter().any(|line| line.starts_with(['{', '[', '<'])) && text.join("").contains("\":") {
        return false;
    }
    let is_word = |part: &str| {
        let word = part.trim_matches(|c: char| c.is_ascii_punctuation());
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_alphabetic() || matches!(c, '\'' | '’' | '-'))
    };
    let parts: Vec<&str> = text
        .iter()
        .flat_map(|line| line.split_whitespace())
        .collect();
    let words = parts.iter().filter(|part| is_word(part)).count();
    words >= 3 && words * 2 >= parts.len()
}

#[derive(Debug)]
struct Token {
    line: usize,
    kind: TokenKind,
    /// The lines of a comment or text.
    lines: Vec<(usize, String)>,
}

#[derive(Debug)]
enum TokenKind {
    Comment {
        /// `/` or `!` for doc comments, nothing for others.
        marker: &'static str,
        /// Whether nothing but space precedes it on its line.
        own_line: bool,
    },
    Text,
    Word(String),
    Mark(char),
}

impl Token {
    fn is_word(&self, expected: &str) -> bool {
        matches!(&self.kind, TokenKind::Word(word) if word == expected)
    }

    fn is_mark(&self, expected: char) -> bool {
        matches!(self.kind, TokenKind::Mark(mark) if mark == expected)
    }
}

/// The ranges of tokens that belong to items with `#[cfg(test)]`, `#[test]` or `#[….test]`.
fn test_ranges(tokens: &[Token]) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let opens = tokens[index].is_mark('#')
            && tokens.get(index + 1).is_some_and(|next| next.is_mark('['));
        if !opens {
            index += 1;
            continue;
        }
        let end = group_end(tokens, index + 1);
        let mut words = Vec::new();
        for token in &tokens[index + 1..end] {
            match &token.kind {
                TokenKind::Word(word) => words.push(word.as_str()),
                TokenKind::Mark('(') if words.first() != Some(&"cfg") => break,
                _ => {}
            }
        }
        let is_test = match words[..] {
            ["cfg", ref conditions @ ..] => {
                conditions.contains(&"test") && !conditions.contains(&"not")
            }
            [.., last] => last == "test",
            [] => false,
        };
        index = if is_test {
            let start = index;
            let end = item_end(tokens, end);
            ranges.push(start..end);
            end
        } else {
            end
        };
    }
    ranges
}

/// The index after the bracket that closes the one at `start`.
fn group_end(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens[start..].iter().enumerate() {
        match token.kind {
            TokenKind::Mark('(' | '[' | '{') => depth += 1,
            TokenKind::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return start + offset + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The index after the item that starts at `start`: after its `;` or its block.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        match token.kind {
            TokenKind::Mark(';') => return index + 1,
            TokenKind::Mark('{') => return group_end(tokens, index),
            TokenKind::Mark('(' | '[') => index = group_end(tokens, index),
            _ => index += 1,
        }
    }
    index
}

struct Lexer<'s> {
    rest: &'s str,
    line: usize,
    /// Whether something other than space precedes on the line.
    is_line_used: bool,
}

impl<'s> Lexer<'s> {
    fn new(source: &'s str) -> Lexer<'s> {
        Lexer {
            rest: source,
            line: 1,
            is_line_used: false,
        }
    }

    fn tokens(mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some(c) = self.rest.chars().next() {
            if c.is_whitespace() {
                self.advance(c.len_utf8());
                continue;
            }
            tokens.extend(self.token(c));
            self.is_line_used = true;
        }
        tokens
    }

    /// Skips `length` bytes and gives them.
    fn advance(&mut self, length: usize) -> &'s str {
        let (text, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        let lines = text.matches('\n').count();
        self.line += lines;
        self.is_line_used &= lines == 0;
        text
    }

    fn token(&mut self, first: char) -> Option<Token> {
        if self.rest.starts_with("//") {
            return Some(self.line_comment());
        }
        if self.rest.starts_with("/*") {
            return Some(self.block_comment());
        }
        if let Some((prefix, hashes)) = self.string_start() {
            return self.string(prefix, hashes);
        }
        let line = self.line;
        let kind = if first == '\'' {
            self.quote();
            return None;
        } else if first == '_' || first.is_alphanumeric() {
            let is_word = |c: char| c == '_' || c.is_alphanumeric();
            let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            TokenKind::Word(self.advance(end).to_owned())
        } else {
            self.advance(first.len_utf8());
            TokenKind::Mark(first)
        };
        Some(Token {
            line,
            kind,
            lines: Vec::new(),
        })
    }

    fn line_comment(&mut self) -> Token {
        let (line, own_line) = (self.line, !self.is_line_used);
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let text = self.advance(end);
        let marker = marker(text, "////");
        let text = text[2 + marker.len()..].to_owned();
        Token {
            line,
            kind: TokenKind::Comment { marker, own_line },
            lines: vec![(line, text)],
        }
    }

    fn block_comment(&mut self) -> Token {
        let (line, own_line) = (self.line, !self.is_line_used);
        let mut depth = 0_usize;
        let mut end = 0;
        while end < self.rest.len() {
            if self.rest[end..].starts_with("/*") {
                depth += 1;
                end += 2;
            } else if self.rest[end..].starts_with("*/") {
                depth -= 1;
                end += 2;
                if depth == 0 {
                    break;
                }
            } else {
                end += self.rest[end..].chars().next().map_or(1, char::len_utf8);
            }
        }
        let text = self.advance(end);
        let marker = marker(text, "/***");
        let text = text.get(2 + marker.len()..).unwrap_or_default();
        let text = text.strip_suffix("*/").unwrap_or(text);
        let lines = (line..)
            .zip(text.lines())
            .map(|(line, text)| {
                let text = text.trim();
                let text = text.strip_prefix("* ").unwrap_or(text);
                (line, if text == "*" { "" } else { text }.to_owned())
            })
            .collect();
        Token {
            line,
            kind: TokenKind::Comment { marker, own_line },
            lines,
        }
    }

    /// The length of a literal's prefix up to its quote, and the number of `#` of a raw one.
    fn string_start(&self) -> Option<(usize, Option<usize>)> {
        let mut start = self.rest.bytes().take(3);
        let letters = start.position(|byte| matches!(byte, b'"' | b'#'))?;
        let (prefix, rest) = self.rest.split_at(letters);
        match prefix {
            "" | "b" | "c" => rest.starts_with('"').then_some((letters, None)),
            "r" | "br" | "cr" => {
                let hashes = rest.len() - rest.trim_start_matches('#').len();
                let is_string = rest[hashes..].starts_with('"');
                is_string.then_some((letters + hashes, Some(hashes)))
            }
            _ => None,
        }
    }

    /// A literal; bytes are no text.
    fn string(&mut self, prefix: usize, hashes: Option<usize>) -> Option<Token> {
        let is_bytes = self.advance(prefix + 1).starts_with('b');
        let line = self.line;
        let mut lines = vec![(line, String::new())];
        let close = format!("\"{}", "#".repeat(hashes.unwrap_or(0)));
        while let Some(c) = self.rest.chars().next() {
            if self.rest.starts_with(&close) {
                self.advance(close.len());
                break;
            }
            let at = self.line;
            let escape = hashes.is_none() && c == '\\';
            self.advance(c.len_utf8());
            let c = if escape { self.escaped() } else { Some(c) };
            match (c, lines.last_mut()) {
                (Some('\n'), _) => {
                    let next = if escape { at } else { at + 1 };
                    lines.push((next, String::new()));
                }
                (Some(c), Some((number, text))) => {
                    // A continued line starts where its first character is.
                    if text.is_empty() {
                        *number = at;
                    }
                    text.push(c);
                }
                _ => {}
            }
        }
        (!is_bytes).then_some(Token {
            line,
            kind: TokenKind::Text,
            lines,
        })
    }

    /// The character that an escape stands for, after its backslash; none for a continued line.
    fn escaped(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.advance(c.len_utf8());
        match c {
            'n' => Some('\n'),
            't' | 'r' | '0' => Some(' '),
            'x' => {
                self.advance(2);
                Some('?')
            }
            'u' => {
                let end = self.rest.find('}').map_or(0, |end| end + 1);
                self.advance(end);
                Some('?')
            }
            '\n' => {
                let space = self.rest.len() - self.rest.trim_start().len();
                self.advance(space);
                None
            }
            c => Some(c),
        }
    }

    /// Skips a character literal, or the quote of a lifetime.
    fn quote(&mut self) {
        let mut chars = self.rest.char_indices().skip(1);
        let length = match (chars.next(), chars.next()) {
            (Some((_, '\\')), Some(_)) => {
                // The escaped character may be a quote itself.
                let end = self.rest[3..].find('\'').map_or(0, |end| end + 1);
                3 + end
            }
            (Some(_), Some((at, '\''))) => at + 1,
            _ => 1,
        };
        self.advance(length);
    }
}

/// The third character of a doc comment, unless `plain` starts the comment.
fn marker(comment: &str, plain: &str) -> &'static str {
    let third = comment.get(2..).unwrap_or_default();
    if third.starts_with('!') {
        "!"
    } else if third.starts_with(&plain[2..3]) && !comment.starts_with(plain) && third != "*/" {
        if plain == "////" { "/" } else { "*" }
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Vec<(Kind, usize, String)> {
        blocks(source, false)
            .into_iter()
            .map(|block| {
                let text: Vec<_> = block.lines.iter().map(|(_, text)| text.trim()).collect();
                (block.kind, block.lines[0].0, text.join("|"))
            })
            .collect()
    }

    #[test]
    fn comments_are_joined_by_kind() {
        let source = "//! a\n\n/// b\n/// c\nfn x() {} // d\n// e\n// f\n/* g\n * h */\n//// i\n";
        let expected = [
            (Kind::Doc, 1, "a"),
            (Kind::Doc, 3, "b|c"),
            (Kind::Comment, 5, "d"),
            (Kind::Comment, 6, "e|f|g|h|// i"),
        ];
        assert_eq!(
            found(source),
            expected.map(|(kind, line, text)| (kind, line, text.to_owned()))
        );
    }

    #[test]
    fn only_literals_with_three_words_are_texts() {
        let source = r##"
            let a = ["two words", r#"three "plain" words"#, b"three plain words"];
            let b = ('"', '\'', "// no comment, but \
                a text\nof two lines");
            let c: &'static str = r#"{"a b c": "d e f"}"#;
        "##;
        let expected = [
            (Kind::Text, 2, "three \"plain\" words"),
            (Kind::Text, 3, "// no comment, but a text|of two lines"),
        ];
        assert_eq!(
            found(source),
            expected.map(|(kind, line, text)| (kind, line, text.to_owned()))
        );
    }

    #[test]
    fn long_function_names_are_counted() {
        let expected = (Kind::Name, 1, "unserved stream is not found".to_owned());
        assert_eq!(found("fn unserved_stream_is_not_found() {}"), [expected]);
        assert!(found("fn short_name() {}").is_empty());
    }

    #[test]
    fn test_items_end_where_their_blocks_end() {
        let source = "#[tokio::test(flavor = \"x\")]\nasync fn a() { f(\"one two three\") }\n\
                      #[cfg(test)]\nuse a::b;\n#[cfg(not(test))]\nconst C: &str = \"a b c\";\n\
                      #[expect(x, reason = \"for a test\")]\nconst D: &str = \"d e f\";\n";
        let lines: Vec<usize> = found(source).iter().map(|(_, line, _)| *line).collect();
        assert_eq!(lines, [6, 7, 8]);
    }
}
