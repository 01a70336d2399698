//! Splits a block into paragraphs: headings, list items, table cells and code stand on their own.

use super::text::{Block, Kind};

/// The lines of one paragraph, joined by spaces.
#[derive(Debug, PartialEq)]
pub(super) struct Paragraph {
    pub(super) text: String,
    /// The offset in `text` at which each line starts, and its number in the file.
    starts: Vec<(usize, usize)>,
    /// Whether sentence forms apply: not to headings and code.
    pub(super) is_prose: bool,
}

impl Paragraph {
    fn new(number: usize, text: &str, is_prose: bool) -> Paragraph {
        Paragraph {
            text: text.trim().to_owned(),
            starts: vec![(0, number)],
            is_prose,
        }
    }

    fn push(&mut self, number: usize, text: &str) {
        self.text.push(' ');
        self.starts.push((self.text.len(), number));
        self.text.push_str(text.trim());
    }

    /// The number of words: parts between spaces that have a letter.
    pub(super) fn words(&self) -> usize {
        self.text
            .split_whitespace()
            .filter(|part| part.contains(char::is_alphabetic))
            .count()
    }

    /// The number of the line that holds the byte at `offset`, and its text.
    pub(super) fn line(&self, offset: usize) -> (usize, &str) {
        let next = self.starts.partition_point(|(start, _)| *start <= offset);
        let (start, number) = self.starts[next.saturating_sub(1)];
        let end = self
            .starts
            .get(next)
            .map_or(self.text.len(), |(end, _)| *end);
        (number, self.text[start..end].trim())
    }
}

/// The paragraphs of `block`.
pub(super) fn paragraphs(block: &Block) -> Vec<Paragraph> {
    if matches!(block.kind, Kind::Text | Kind::Name) {
        return plain(block);
    }
    let mut done = Vec::new();
    let mut open: Option<Paragraph> = None;
    let mut fence: Option<&str> = None;
    for (index, (number, line)) in block.lines.iter().enumerate() {
        let line = line.trim().trim_start_matches("> ");
        let mark = ["```", "~~~"]
            .into_iter()
            .find(|mark| line.starts_with(mark));
        if let Some(inside) = fence {
            if mark == Some(inside) {
                fence = None;
            } else {
                done.push(Paragraph::new(*number, line, false));
            }
            continue;
        }
        let item = item(line);
        let starts_block = mark.is_some()
            || line.is_empty()
            || line.starts_with('#')
            || line.starts_with('|')
            || item.is_some();
        if starts_block {
            done.extend(open.take());
        }
        if mark.is_some() {
            fence = mark;
        } else if line.is_empty() {
        } else if line.starts_with('#') {
            done.push(Paragraph::new(*number, line.trim_start_matches('#'), false));
        } else if line.starts_with('|') {
            let next = block.lines.get(index + 1).map(|(_, line)| line.trim());
            let is_header = next.is_some_and(|next| next.starts_with("|-"));
            done.extend(
                cells(line)
                    .into_iter()
                    .map(|cell| Paragraph::new(*number, &cell, !is_header)),
            );
        } else {
            let text = item.unwrap_or(line);
            match &mut open {
                Some(paragraph) => paragraph.push(*number, text),
                None => open = Some(Paragraph::new(*number, text, true)),
            }
        }
    }
    done.extend(open);
    done
}

/// Each empty line ends a paragraph of a string literal; nothing else is markup there.
fn plain(block: &Block) -> Vec<Paragraph> {
    let mut done: Vec<Paragraph> = Vec::new();
    let mut open = false;
    for (number, line) in &block.lines {
        match done.last_mut() {
            Some(paragraph) if open && !line.trim().is_empty() => paragraph.push(*number, line),
            _ if line.trim().is_empty() => open = false,
            _ => {
                done.push(Paragraph::new(*number, line, true));
                open = true;
            }
        }
    }
    done
}

/// The text of a list item after its marker.
fn item(line: &str) -> Option<&str> {
    let marker = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let marks: &[&str] = if marker.len() < line.len() {
        &[". ", ") "]
    } else {
        &["- ", "* ", "+ "]
    };
    marks.iter().find_map(|mark| marker.strip_prefix(mark))
}

/// The cells of a table's row; `|` in a code span does not end a cell. A row of dashes has none.
fn cells(line: &str) -> Vec<String> {
    if line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) {
        return Vec::new();
    }
    let mut cells = vec![String::new()];
    let mut is_code = false;
    for c in line.chars() {
        is_code ^= c == '`';
        match cells.last_mut() {
            Some(cell) if c != '|' || is_code => cell.push(c),
            _ => cells.push(String::new()),
        }
    }
    cells.retain(|cell| !cell.trim().is_empty());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(markdown: &str) -> Vec<(String, bool)> {
        let lines = (1..).zip(markdown.lines().map(str::to_owned)).collect();
        let kind = Kind::Markdown;
        paragraphs(&Block { kind, lines })
            .into_iter()
            .map(|paragraph| (paragraph.text, paragraph.is_prose))
            .collect()
    }

    #[test]
    fn markup_splits_paragraphs() {
        let markdown = "# Head\nOne\ntwo.\n\n* Three\n  four.\n1. Five\n\n```sh\nsix\n```\n\
                        | a | b |\n|---|---|\n| seven | `x | y` |\n";
        let expected = [
            ("Head", false),
            ("One two.", true),
            ("Three four.", true),
            ("Five", true),
            ("six", false),
            ("a", false),
            ("b", false),
            ("seven", true),
            ("`x | y`", true),
        ];
        let expected = expected.map(|(text, is_prose)| (text.to_owned(), is_prose));
        assert_eq!(texts(markdown), expected);
    }

    #[test]
    fn offset_gives_the_line_of_the_file() {
        let block = Block {
            kind: Kind::Comment,
            lines: vec![(7, "one two".to_owned()), (8, "three".to_owned())],
        };
        let paragraph = &paragraphs(&block)[0];
        assert_eq!(paragraph.line(4), (7, "one two"));
        assert_eq!(paragraph.line(8), (8, "three"));
        assert_eq!(paragraph.words(), 3);
    }
}
