//! The text that is counted.

/// The kinds of text that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Comment,
    Doc,
    Markdown,
    /// A string literal that reads as prose: an error, log or help text.
    Text,
    /// The words of a function name.
    Name,
}

/// Consecutive lines of one kind, each with its line number in the file.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: Kind,
    pub(super) lines: Vec<(usize, String)>,
}
