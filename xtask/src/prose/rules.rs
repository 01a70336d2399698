//! The ruled-out words and sentence forms.

use std::borrow::Cow;

use regex::Regex;

use super::markdown::Paragraph;
use super::text::Kind;

/// A ruled-out word or form in a file.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) line: usize,
    pub(super) rule: &'static str,
    /// The line of the text in which it begins.
    pub(super) text: String,
}

/// Words that are ruled out wherever they stand.
const WORDS: &[&str] = &[
    "whoever",
    "whomever",
    "nobody",
    "somebody",
    "anybody",
    "everybody",
    "meanwhile",
    "anew",
    "heeds",
    "heeded",
    "heeding",
    "heed",
    "heard",
    "told",
    "beside",
    "behind",
    "anymore",
    "any more",
    "for ever",
];

/// The places where "any more" stands for "no longer": before a mark or a conjunction. With a noun it is a
/// quantity and is allowed.
const ANY_MORE: &str = r"any more(?:\s*(?:[.,;:!?)]|$)|\s+(?:and|as|because|but|if|once|or|since|so|then|until|when|while)\b)";

const WHAT_SUBJECT: &str = "subject is a clause";
const DOC_START: &str = "doc starts with It or What";
const ERROR_TEXT: &str = "error text";

/// The compiled rules.
pub(super) struct Rules {
    words: Regex,
    code_span: Regex,
    link: Regex,
    placeholder: Regex,
    sentence: Regex,
    subject: Regex,
    concession: Regex,
    what_is: Regex,
    doc_start: Regex,
    error_text: Regex,
}

impl Rules {
    pub(super) fn new() -> Rules {
        let words: Vec<&str> = WORDS
            .iter()
            .copied()
            .filter(|word| *word != "any more")
            .collect();
        let words = format!(r"(?i-u)\b(?:(?:{})\b|{ANY_MORE})", words.join("|"));
        Rules {
            words: regex(&words),
            code_span: regex(r"``[^`](?:[^`]|`[^`])*``|`[^`]+`"),
            link: regex(r"\]\([^)\s]*\)"),
            placeholder: regex(r"\{[^{}\s]*\}"),
            sentence: regex(r#"[.!?][)"'*_”’]*\s+"#),
            subject: regex(r"(?i)^(?:what|who|whatever)(?:'s)?\s"),
            concession: regex(r"(?i)^(?:whatever\b[^,]*,|what's more\b|what about\b|who knows\b)"),
            what_is: regex(
                r"(?i)(?:[,;:(—–]\s*|\b(?:and|but|because|so|so that|that|while|if|when|until|unless|where|since)\s+)what\s+(?:is|are|was|were)\s[^.,;:?!()—–]*?\b(?:is|are|was|were)\s+\w",
            ),
            doc_start: regex(r"^(?:It|What)(?:'s)?\s"),
            error_text: regex(r"(?i)\b(there )?(?:is|are|was|were) no (\w+)"),
        }
    }

    /// The hits in one paragraph of a block of `kind`; `first` for the block's first one. A file
    /// that `quotes` may have every word in code spans.
    pub(super) fn check(
        &self,
        paragraph: &Paragraph,
        kind: Kind,
        first: bool,
        quotes: bool,
    ) -> Vec<Hit> {
        let mut found = Vec::new();
        let text = mask(&self.link, "](", &paragraph.text);
        let masked = mask(&self.code_span, "`", &text);
        let searched = if quotes { &masked } else { &text };
        for hit in self.words.find_iter(searched) {
            let word = hit.as_str().to_lowercase();
            let rule = WORDS.iter().find(|rule| word.starts_with(**rule));
            found.extend(rule.map(|rule| (hit.start(), *rule)));
        }
        if paragraph.is_prose && kind != Kind::Name {
            self.check_sentences(&masked, kind, first, &mut found);
        }
        if kind == Kind::Text {
            self.check_denials(&mask(&self.placeholder, "{", &masked), &mut found);
        }
        found.sort_unstable();
        found
            .into_iter()
            .map(|(offset, rule)| {
                let (line, text) = paragraph.line(offset);
                let text = text.to_owned();
                Hit { line, rule, text }
            })
            .collect()
    }

    /// Finds "… is no X", and "there is no X" at the start of a clause.
    fn check_denials(&self, text: &str, found: &mut Vec<(usize, &str)>) {
        for denial in self.error_text.captures_iter(text) {
            let (Some(all), Some(noun)) = (denial.get(0), denial.get(2)) else {
                continue;
            };
            let before = text[..all.start()].trim_end();
            let starts_clause = before.is_empty() || before.ends_with([':', ';', '.']);
            let is_denial = starts_clause || denial.get(1).is_none();
            if is_denial && !matches!(noun.as_str(), "longer" | "more") {
                found.push((all.start(), ERROR_TEXT));
            }
        }
    }

    /// Finds sentences whose subject is a clause. In a text the first word may be lower case.
    fn check_sentences(&self, text: &str, kind: Kind, first: bool, found: &mut Vec<(usize, &str)>) {
        let mut start = 0;
        let ends = self.sentence.find_iter(text).map(|end| end.end());
        for end in ends.chain([text.len()]) {
            let marks: &[char] = &[' ', '*', '_', '"', '\'', '(', '“', '‘', '['];
            let sentence = text[start..end].trim_end();
            let begin = sentence.trim_start_matches(marks);
            let offset = start + sentence.len() - begin.len();
            let is_question = begin
                .trim_end_matches(['"', '\'', ')', '*', '_'])
                .ends_with('?');
            let is_text = kind == Kind::Text || begin.starts_with(char::is_uppercase);
            if kind == Kind::Doc && first && start == 0 && self.doc_start.is_match(begin) {
                found.push((offset, DOC_START));
            } else if is_text
                && !is_question
                && self.subject.is_match(begin)
                && !self.concession.is_match(begin)
            {
                found.push((offset, WHAT_SUBJECT));
            }
            if !is_question && begin.contains("what ") {
                let inner = self.what_is.find_iter(begin);
                found.extend(inner.map(|hit| (offset + hit.start(), WHAT_SUBJECT)));
            }
            start = end;
        }
    }
}

/// Replaces each match by as many `X`, so that offsets stay. Every match has `part`, which is
/// searched first because that is faster.
fn mask<'t>(regex: &Regex, part: &str, text: &'t str) -> Cow<'t, str> {
    if text.contains(part) {
        regex.replace_all(text, |found: &regex::Captures<'_>| {
            "X".repeat(found[0].len())
        })
    } else {
        Cow::Borrowed(text)
    }
}

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, and a test compiles them all"
)]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use super::super::markdown;
    use super::super::text::Block;
    use super::*;

    fn rules(kind: Kind, text: &str) -> Vec<&'static str> {
        let block = Block {
            kind,
            lines: (1..).zip(text.lines().map(str::to_owned)).collect(),
        };
        let rules = Rules::new();
        let mut first = true;
        markdown::paragraphs(&block)
            .iter()
            .flat_map(|paragraph| rules.check(paragraph, kind, std::mem::take(&mut first), false))
            .map(|hit| hit.rule)
            .collect()
    }

    #[test]
    fn every_ruled_out_word_is_found_and_its_relatives_are_not() {
        for word in WORDS {
            assert_eq!(
                rules(Kind::Comment, &format!("The host, {word}, ends.")),
                [*word]
            );
        }
        assert!(
            rules(
                Kind::Comment,
                "Besides, a heedless `told_off` and `not_heard`."
            )
            .is_empty()
        );
        assert_eq!(rules(Kind::Comment, "Runs for\never."), ["for ever"]);
        assert_eq!(rules(Kind::Name, "host that nobody calls"), ["nobody"]);
    }

    #[test]
    fn any_more_with_a_noun_is_allowed() {
        for text in [
            "It is not used any more.",
            "Not read any more when closed.",
            "never any more",
        ] {
            assert_eq!(rules(Kind::Comment, text), ["any more"], "{text}");
        }
        for text in [
            "Takes any more messages.",
            "If there are any more of them, waits.",
        ] {
            assert!(rules(Kind::Comment, text).is_empty(), "{text}");
        }
    }

    #[test]
    fn clause_as_subject_is_found() {
        for text in [
            "What a call costs is counted.",
            "Waits. Who asks first\nis answered.",
            "**Who ends what.** A host.",
            "Keeps all: what is published here is kept.",
            "Done, because what was sent is lost.",
            "Whatever comes is kept.",
        ] {
            assert_eq!(rules(Kind::Comment, text), [WHAT_SUBJECT], "{text}");
        }
    }

    #[test]
    fn questions_objects_and_concessions_are_allowed() {
        for text in [
            "What is the deadline? The default.",
            "Returns what is left.",
            "Depends on what the server allows, and is slow.",
            "Whatever the reason, the host retries.",
            "The caller knows what is read. It is cached.",
            "`What is left` is a quote.",
            "* what a host serves",
        ] {
            assert!(rules(Kind::Comment, text).is_empty(), "{text}");
        }
        assert!(rules(Kind::Markdown, "## What it is\n").is_empty());
    }

    #[test]
    fn doc_comment_starts_with_a_noun() {
        assert_eq!(rules(Kind::Doc, "It is a host."), [DOC_START]);
        assert_eq!(rules(Kind::Doc, "What a host has."), [DOC_START]);
        assert!(rules(Kind::Doc, "A host. It serves.\n\nIt ends.").is_empty());
        assert!(rules(Kind::Comment, "It is a host.").is_empty());
        assert!(rules(Kind::Doc, "Items of a host.").is_empty());
    }

    #[test]
    fn error_text_that_denies_is_found() {
        for text in [
            "'{text}' is no {what}: {reason}",
            "there is no agent '{name}'",
            "{} is no file",
        ] {
            assert_eq!(rules(Kind::Text, text), [ERROR_TEXT], "{text}");
        }
        for text in [
            "the host is no longer connected",
            "invalid key 'a b': only letters are allowed",
            "all branches are disabled and there is no else branch",
        ] {
            assert!(rules(Kind::Text, text).is_empty(), "{text}");
        }
        assert!(rules(Kind::Comment, "If there is no agent, waits.").is_empty());
    }
}
