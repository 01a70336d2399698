//! Where in a value.

use std::fmt;

/// A place in a value, as a JSON pointer; on the stack, because most are never shown.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Whole,
    Property(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Property(around, name) => {
                write!(f, "{around}/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Self::Item(around, index) => write!(f, "{around}/{index}"),
        }
    }
}
