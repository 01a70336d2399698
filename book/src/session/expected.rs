//! The output that a page shows, compared with that of a run. Parts that vary are named in square brackets.

use regex::Regex;

/// The names of parts that vary, and the texts that they stand for.
const VARYING: &[(&str, &str)] = &[
    ("[port]", r"\d{1,5}"),
    ("[number]", r"\d[\d.,]*"),
    ("[size]", r"\d[\d.,]* ?[KMGi]*B"),
    ("[id]", r"[0-9A-Za-z_-]+"),
    (
        "[time]",
        r"\d[0-9T:.+-]*Z?(?: ?(?:ns|µs|us|ms|s|min|h))?(?: ago)?",
    ),
    ("[version]", r"v?\d[\w.+-]*"),
    ("[path]", r"[^\s'\x22]+"),
    ("[..]", r"[^\n]*"),
];

/// A line that stands for any number of lines.
const ANY_LINES: &str = "...";

/// The pattern of the output of one command.
pub(super) struct Expected {
    lines: Vec<String>,
}

/// How an output compares with the expected one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Match {
    Whole,
    /// The output begins as expected, and there is more of it.
    Start,
    No,
}

impl Expected {
    pub(super) fn new(lines: Vec<String>) -> Self {
        Self { lines }
    }

    pub(super) fn extend(&mut self, lines: Vec<String>) {
        self.lines.extend(lines);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.trim().is_empty())
    }

    pub(super) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Compares the lines. Spaces at the ends of lines and empty lines at the end do not count.
    pub(super) fn compare(&self, output: &str) -> Match {
        let output = normal(output.lines());
        let mut pattern = String::from(r"\A");
        for line in normal(self.lines.iter().map(String::as_str)).lines() {
            pattern += &match line {
                ANY_LINES => r"(?:[^\n]*\n)*?".to_owned(),
                line => pattern_of(line) + r"\n",
            };
        }
        // An invalid pattern is a fault of `VARYING`, which a test excludes.
        let Ok(start) = Regex::new(&pattern) else {
            return Match::No;
        };
        match Regex::new(&format!(r"{pattern}\z")) {
            Ok(whole) if whole.is_match(&output) => Match::Whole,
            _ if start.is_match(&output) => Match::Start,
            _ => Match::No,
        }
    }
}

fn normal<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.map(str::trim_end).collect();
    let text = lines.join("\n");
    match text.trim_end() {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}

fn pattern_of(line: &str) -> String {
    let mut pattern = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let first = VARYING
            .iter()
            .filter_map(|(name, text)| Some((rest.find(name)?, *name, *text)))
            .min_by_key(|(start, ..)| *start);
        let Some((start, name, text)) = first else {
            break;
        };
        pattern += &regex::escape(&rest[..start]);
        pattern += &format!("(?:{text})");
        rest = &rest[start + name.len()..];
    }
    pattern + &regex::escape(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(expected: &str, output: &str) -> Match {
        Expected::new(expected.lines().map(str::to_owned).collect()).compare(output)
    }

    #[test]
    fn each_varying_part_is_a_valid_pattern() {
        for (name, text) in VARYING {
            assert!(Regex::new(text).is_ok(), "{name}");
        }
    }

    #[test]
    fn output_that_differs_does_not_match() {
        assert_eq!(compare("a\nb", "a\nb\n"), Match::Whole);
        assert_eq!(compare("a", "a  \n\n"), Match::Whole);
        assert_eq!(compare("a", "a\nb\n"), Match::Start);
        assert_eq!(compare("a", "ab\n"), Match::No);
        assert_eq!(compare("a\nb", "a\n"), Match::No);
        assert_eq!(compare("", ""), Match::Whole);
        assert_eq!(compare("", "a"), Match::Start);
    }

    #[test]
    fn varying_parts_match_their_kind_only() {
        let line = "up at nats://127.0.0.1:[port] in [time] ([id]) [..]";
        assert_eq!(
            compare(line, "up at nats://127.0.0.1:4222 in 1.5 ms (a-1) x y"),
            Match::Whole
        );
        assert_eq!(
            compare(line, "up at nats://127.0.0.1:no in 1.5 ms (a-1) x"),
            Match::No
        );
        assert_eq!(compare("a\n...\nd", "a\nb\nc\nd"), Match::Whole);
        assert_eq!(compare("a\n...\nd", "a\nd"), Match::Whole);
        assert_eq!(compare("a\n...\nd", "a\nb"), Match::No);
        assert_eq!(
            compare("2026-11-25T10:00:00Z", "2026-11-25T10:00:00Z"),
            Match::Whole
        );
        assert_eq!(
            compare("[time] x", "2026-11-25T10:00:00.123Z x"),
            Match::Whole
        );
    }
}
