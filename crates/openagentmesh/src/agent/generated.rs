//! The parts of the code that `#[agent]` generates.

use crate::error::Error;

/// The error of a handler. [`with_code`](HandlerError::with_code) of the type converts it into the SDK's error,
/// if it can be converted; otherwise the method of [`KeepError`] returns it unchanged.
#[derive(Debug)]
pub struct HandlerError<E>(pub E);

impl<E> HandlerError<E>
where
    Error: From<E>,
{
    /// The error with its code.
    pub fn with_code(self) -> Error {
        self.0.into()
    }
}

/// Implemented for all errors of handlers.
pub trait KeepError {
    /// The error.
    type Error;

    /// The error, unchanged.
    fn with_code(self) -> Self::Error;
}

impl<E> KeepError for HandlerError<E> {
    type Error = E;

    fn with_code(self) -> E {
        self.0
    }
}

/// A `Result`, also under an alias.
pub trait IsResult {
    /// The type of its value.
    type Value;
}

impl<T, E> IsResult for Result<T, E> {
    type Value = T;
}

/// Checks a description when the program is compiled.
pub const fn not_blank(description: &str) -> &str {
    assert!(
        !description.trim_ascii().is_empty(),
        "blank description: callers and models choose an agent by it; write what the agent does"
    );
    description
}

/// The first paragraph of a doc comment, on one line.
pub fn first_paragraph(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_paragraph_of_a_doc_comment_is_one_line() {
        let text = "\n Adds two\n numbers.\n\n # Errors\n";
        assert_eq!(first_paragraph(text), "Adds two numbers.");
    }
}
