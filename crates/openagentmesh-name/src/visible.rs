//! Text of others, made safe for a terminal and for a log.

use std::fmt::{self, Display, Write};

/// Shows a text of others on one line: characters that control a terminal, change the direction of the text, or have
/// no width are escaped.
///
/// ```
/// use openagentmesh_name::Visible;
///
/// assert_eq!(Visible("ä\u{1b}[31m\n\u{202e}").to_string(), r"ä\u{1b}[31m\n\u{202e}");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Visible<T>(pub T);

impl<T: Display> Display for Visible<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(f), "{}", self.0)
    }
}

struct Escape<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(start) = rest.find(|character| !is_visible(character)) {
            self.0.write_str(&rest[..start])?;
            let mut characters = rest[start..].chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Whether the character neither controls the terminal, nor changes the direction of the text, nor
/// has no width. Text with such characters can look like another text, or hide one.
///
/// These are the characters that Unicode calls default ignorable, controls, separators of lines, and
/// blank letters. The two variation selectors of emoji are visible: they select a glyph.
#[must_use]
pub fn is_visible(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' // soft hyphen
                | '\u{34f}' // combining grapheme joiner
                | '\u{61c}' // Arabic letter mark
                | '\u{115f}'..='\u{1160}' // Hangul fillers
                | '\u{17b4}'..='\u{17b5}' // inherent vowels of Khmer
                | '\u{180b}'..='\u{180f}' // Mongolian variation selectors and vowel separator
                | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
                | '\u{2028}'..='\u{202e}' // line breaks, embeddings and overrides of direction
                | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates of direction
                | '\u{2800}' // blank Braille pattern
                | '\u{3164}' // Hangul filler
                | '\u{fe00}'..='\u{fe0d}' // variation selectors
                | '\u{feff}' // byte order mark
                | '\u{ffa0}' // half-width Hangul filler
                | '\u{fff0}'..='\u{fffb}' // unassigned, interlinear annotation
                | '\u{1bca0}'..='\u{1bca3}' // format controls of shorthand
                | '\u{1d173}'..='\u{1d17a}' // format controls of music
                | '\u{e0000}'..='\u{e0fff}' // tags, further variation selectors
        )
}
