//! Texts of bounded length for messages.

use std::fmt::{self, Display, Write};

/// `text` as it is displayed, cut off after `max_chars` characters.
///
/// Only the kept part is written, however long the whole is.
pub(crate) fn shorten(text: &(impl Display + ?Sized), max_chars: usize) -> String {
    let mut bounded = Bounded {
        kept: String::new(),
        remaining_chars: max_chars,
    };
    if write!(bounded, "{text}").is_err() {
        bounded.kept.push('…');
    }
    bounded.kept
}

struct Bounded {
    kept: String,
    remaining_chars: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.remaining_chars) {
            None => {
                self.remaining_chars -= text.chars().count();
                self.kept.push_str(text);
                Ok(())
            }
            Some((end, _)) => {
                self.kept.push_str(&text[..end]);
                // Ends the formatting.
                Err(fmt::Error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_off_only_beyond_the_limit() {
        assert_eq!(shorten("éé", 2), "éé");
        assert_eq!(shorten("ééa", 2), "éé…");
        assert_eq!(shorten(&format_args!("{}{}", "ab", 12), 3), "ab1…");
    }
}
