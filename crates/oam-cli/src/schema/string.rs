//! Examples of texts, by format, pattern and length.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::node::Node;

/// The text without a format or pattern.
const TEXT: &str = "string";

/// A longer text is no example.
const MAX_CHARS: usize = 10_000;

/// A longer pattern is not read.
const MAX_PATTERN_BYTES: usize = 2_000;

/// Nested groups of a pattern.
const MAX_PATTERN_DEPTH: u32 = 50;

/// The `nth` text that `node` describes; `None` if it takes more to find one.
pub(super) fn text(node: &Node<'_>, nth: usize) -> Option<String> {
    let min = usize::try_from(node.at_least("minLength")).ok()?;
    let max = node
        .at_most("maxLength")
        .and_then(|max| usize::try_from(max).ok());
    if min > MAX_CHARS {
        return None;
    }
    let max = max.unwrap_or(MAX_CHARS);
    if let Some(pattern) = node.text("pattern") {
        return matching(pattern, min, max, nth);
    }
    if let Some(text) = node
        .text("format")
        .and_then(|format| formatted(format, nth))
    {
        return Some(text);
    }
    let suffix = match nth {
        0 => String::new(),
        nth => (nth + 1).to_string(),
    };
    let length = (TEXT.len() + suffix.len()).clamp(min, max.max(min));
    let stem = TEXT
        .chars()
        .cycle()
        .take(length.saturating_sub(suffix.len()));
    Some(stem.chain(suffix.chars()).take(length).collect())
}

/// A text of a format that is checked; `None` for any other format.
fn formatted(format: &str, nth: usize) -> Option<String> {
    let n = nth + 1;
    let day = nth % 28 + 1;
    Some(match format {
        "date-time" => format!("2026-01-{day:02}T12:00:00Z"),
        // These are not checked; types of Rust and Python take them.
        "partial-date-time" => format!("2026-01-{day:02}T12:00:00"),
        "date" => format!("2026-01-{day:02}"),
        "time" => format!("12:{:02}:00Z", nth % 60),
        "partial-time" => format!("12:{:02}:00", nth % 60),
        "duration" => format!("PT{n}H"),
        "email" | "idn-email" if nth == 0 => "ada@example.com".to_owned(),
        "email" | "idn-email" => format!("ada{n}@example.com"),
        "hostname" | "idn-hostname" if nth == 0 => "example.com".to_owned(),
        "hostname" | "idn-hostname" => format!("host{n}.example.com"),
        "ip" | "ipv4" => format!("192.0.2.{}", nth % 255 + 1),
        "ipv6" => format!("2001:db8::{n:x}"),
        "uri" | "url" | "iri" if nth == 0 => "https://example.com/".to_owned(),
        "uri" | "url" | "iri" => format!("https://example.com/{n}"),
        "uri-reference" | "iri-reference" | "uri-template" => format!("/path/{n}"),
        "uuid" => format!("67e55044-10b1-426f-9247-{n:012x}"),
        "json-pointer" => format!("/member/{n}"),
        "relative-json-pointer" => format!("{n}/member"),
        "regex" => format!("a{{{n}}}"),
        _ => return None,
    })
}

/// The `nth` text that `pattern` matches, with `min` to `max` characters.
pub(super) fn matching(pattern: &str, min: usize, max: usize, nth: usize) -> Option<String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return None;
    }
    let pattern = ParserBuilder::new()
        .nest_limit(MAX_PATTERN_DEPTH)
        .build()
        .parse(pattern)
        .ok()?;
    // Repetitions without an upper limit make the text longer, one by one.
    for extra in [0].into_iter().chain(1..=min.min(100)).chain([min]) {
        let mut text = Matching {
            text: String::new(),
            extra,
            nth,
        };
        text.add(&pattern)?;
        let length = text.text.chars().count();
        if (min..=max).contains(&length) {
            return Some(text.text);
        }
        if length > max {
            return None;
        }
    }
    None
}

struct Matching {
    text: String,
    /// Additional repetitions.
    extra: usize,
    /// The character of a class that is taken.
    nth: usize,
}

impl Matching {
    fn add(&mut self, part: &Hir) -> Option<()> {
        if self.text.len() > 4 * MAX_CHARS {
            return None;
        }
        match part.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.push_str(str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => self.text.push(character(class, self.nth)?),
            HirKind::Repetition(repetition) => {
                let min = usize::try_from(repetition.min).ok()?;
                let max = repetition.max.map_or(usize::MAX, |max| max as usize);
                let wanted = min.saturating_add(self.extra).min(max.max(min));
                // Nested repetitions multiply; an empty one has no end.
                if wanted > MAX_CHARS {
                    return None;
                }
                if let HirKind::Class(class) = repetition.sub.kind() {
                    let character = character(class, self.nth)?;
                    self.text.extend(std::iter::repeat_n(character, wanted));
                    return Some(());
                }
                for _ in 0..wanted {
                    let before = self.text.len();
                    self.add(&repetition.sub)?;
                    if self.text.len() == before {
                        break;
                    }
                }
            }
            HirKind::Capture(capture) => self.add(&capture.sub)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.add(part))?,
            HirKind::Alternation(parts) => self.add(parts.get(self.nth % parts.len().max(1))?)?,
        }
        Some(())
    }
}

/// The `nth` character of a class, letters and digits first.
fn character(class: &Class, nth: usize) -> Option<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => {
            let ranges = class.iter().map(|range| (range.start(), range.end()));
            few(ranges)
        }
        Class::Bytes(class) => {
            let ascii = class.iter().filter(|range| range.end().is_ascii());
            few(ascii.map(|range| (char::from(range.start()), char::from(range.end()))))
        }
    };
    let is_in = |wanted: &char| {
        ranges
            .iter()
            .any(|(start, end)| (start..=end).contains(&wanted))
    };
    let common = ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .chain("-_. /:".chars());
    let common: Vec<char> = common.filter(is_in).collect();
    match common.len() {
        0 => ranges.first().map(|(start, _)| *start),
        count => common.get(nth % count).copied(),
    }
}

/// The first of the ordered `ranges`, and all others that have an ASCII character: a class of letters has hundreds.
fn few(ranges: impl Iterator<Item = (char, char)>) -> Vec<(char, char)> {
    let ranges = ranges.enumerate();
    let few = ranges.take_while(|(index, (start, _))| *index == 0 || start.is_ascii());
    few.map(|(_, range)| range).collect()
}
