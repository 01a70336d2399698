//! The fenced code blocks of a page.

/// A code block.
pub(crate) struct Block {
    /// The line of the opening fence, counted from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    /// The words after the language, such as `file=echo.py`.
    pub(crate) attributes: Vec<String>,
    pub(crate) lines: Vec<String>,
}

impl Block {
    /// The value of the attribute `name=…`.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let attribute = |word: &'_ String| word.starts_with(name);
        let word = self.attributes.iter().find(|word| attribute(word))?;
        word[name.len()..].strip_prefix('=')
    }

    /// Whether the block has the attribute.
    pub(crate) fn is(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|word| word == attribute)
    }

    /// The code with the hidden lines, which begin with `~` in Python.
    pub(crate) fn code(&self) -> String {
        let visible = |line: &String| match self.language.as_str() {
            "python" => line.strip_prefix('~').unwrap_or(line).to_owned(),
            _ => line.clone(),
        };
        self.lines
            .iter()
            .map(visible)
            .collect::<Vec<_>>()
            .join("\n")
            + "\n"
    }
}

/// The blocks of `text`, in their order. A block in a list loses its indentation.
pub(crate) fn of(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let indentation = line.len() - trimmed.len();
        if let Some((mut block, outer, fence)) = open.take() {
            if trimmed.starts_with(&fence) && trimmed.trim_end().chars().all(|c| c == '`') {
                blocks.push(block);
            } else {
                block.lines.push(line[indentation.min(outer)..].to_owned());
                open = Some((block, outer, fence));
            }
        } else if trimmed.starts_with("```") {
            let info = trimmed.trim_start_matches('`');
            let fence = "`".repeat(trimmed.len() - info.len());
            let mut words = info.split([',', ' ']).filter(|word| !word.is_empty());
            let block = Block {
                line: number + 1,
                language: words.next().unwrap_or_default().to_owned(),
                attributes: words.map(str::to_owned).collect(),
                lines: Vec::new(),
            };
            open = Some((block, indentation, fence));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_language_attributes_and_lines() {
        let text = "text\n\n  ```console,terminal=2\n  $ a\n    b\n  ```\n````python,file=a.py\n~x\n```\n````\n";
        let blocks = of(text);
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].line, blocks[1].line), (3, 7));
        assert_eq!(blocks[0].attribute("terminal"), Some("2"));
        assert_eq!(blocks[0].lines, ["$ a", "  b"]);
        assert_eq!(blocks[1].code(), "x\n```\n");
        assert_eq!(blocks[1].attribute("file"), Some("a.py"));
        assert!(!blocks[1].is("untested"));
    }
}
