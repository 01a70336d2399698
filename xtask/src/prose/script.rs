//! Comments of scripts and manifests: lines that begin with `#`, and docstrings of Python.

use super::text::{Block, Kind};

/// The comments of `source`, and its docstrings if it is Python.
pub(super) fn blocks(source: &str, python: bool) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut current: Option<Block> = None;
    let mut docstring = false;
    for (number, line) in (1..).zip(source.lines()) {
        let trimmed = line.trim();
        let quotes = trimmed.matches("\"\"\"").count();
        let opens = python && !docstring && trimmed.starts_with("\"\"\"");
        let (kind, text) = if docstring || opens {
            docstring ^= quotes == 1;
            (Kind::Doc, trimmed.replace("\"\"\"", ""))
        } else if let Some(text) = trimmed.strip_prefix('#')
            && !text.starts_with(['!', '['])
        {
            (Kind::Comment, text.to_owned())
        } else {
            blocks.extend(current.take());
            continue;
        };
        match &mut current {
            Some(block) if block.kind == kind && !opens => block.lines.push((number, text)),
            _ => {
                blocks.extend(current.take());
                current = Some(Block {
                    kind,
                    lines: vec![(number, text)],
                });
            }
        }
    }
    blocks.extend(current);
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_docstrings_are_blocks() {
        let source =
            "#!/bin/x\n# One\n# two.\nx = 1\n\"\"\"Three.\n\nFour.\"\"\"\ny = \"# five\"\n";
        let blocks = blocks(source, true);
        let lines: Vec<Vec<usize>> = blocks
            .iter()
            .map(|block| block.lines.iter().map(|(number, _)| *number).collect())
            .collect();
        assert_eq!(lines, [vec![2, 3], vec![5, 6, 7]]);
        assert_eq!(blocks[1].kind, Kind::Doc);
    }
}
