//! The size and the cost of patterns.

use std::collections::HashMap;

use jsonschema_regex::{Search, search_form};
use regex_automata::nfa::thompson::{BuildError, Config, NFA};

use crate::schema::pattern::translate;
use crate::schema::prepare::TranslatedPatterns;

/// Bytes of all compiled patterns of a schema.
pub(in crate::schema) const MAX_PATTERN_BYTES: usize = 2 * 1024 * 1024;

/// Bytes that count for each pattern: the library keeps more than the automaton.
const BASE_BYTES: usize = 256;

/// Bytes of the table of characters for a pattern `^X{m,n}$` of one class.
const REPEATED_CLASS_BYTES: usize = 16 * 1024;

/// The cost of one step: the costs of a byte of text are fractions of a step.
pub(super) const COST_PER_STEP: u64 = 1024;

/// States that the matcher visits in one step.
const STATES_PER_STEP: u64 = 32;

/// The distinct patterns of a schema.
pub(super) struct Patterns<'s> {
    translated: &'s TranslatedPatterns,
    remaining_bytes: usize,
    costs: HashMap<String, u64>,
}

impl<'s> Patterns<'s> {
    pub(super) fn new(translated: &'s TranslatedPatterns) -> Self {
        Self {
            translated,
            remaining_bytes: MAX_PATTERN_BYTES,
            costs: HashMap::new(),
        }
    }

    /// The steps that `pattern` takes per byte of text, times [`COST_PER_STEP`].
    ///
    /// # Errors
    ///
    /// The reason why `pattern` is not supported, or that all patterns together are too large.
    pub(super) fn cost_per_byte(&mut self, pattern: &str) -> Result<u64, String> {
        if let Some(cost) = self.costs.get(pattern) {
            return Ok(*cost);
        }
        self.take(BASE_BYTES + pattern.len())?;
        if !self.translated.contains_key(pattern) {
            translate(pattern)?;
        }
        let regex = jsonschema_regex::to_rust_regex(pattern)
            .map_err(|()| "not a regular expression of ECMA-262")?;
        let states = match search_form(pattern, &regex) {
            // The library counts the characters without an automaton.
            Some(Search::RepeatedClass(_)) => {
                self.take(REPEATED_CLASS_BYTES)?;
                0
            }
            _ => {
                let nfa = compile(&regex, self.remaining_bytes).map_err(|error| reason(&error))?;
                self.take(nfa.memory_usage())?;
                nfa.states().len() as u64
            }
        };
        // Usually the matcher takes one state per byte. At worst all states are active.
        let cost = COST_PER_STEP / 16 + states * COST_PER_STEP / STATES_PER_STEP;
        self.costs.insert(pattern.to_owned(), cost);
        Ok(cost)
    }

    /// `pattern` as it is in the schema.
    pub(super) fn original<'p>(&'p self, pattern: &'p str) -> &'p str {
        self.translated.get(pattern).map_or(pattern, String::as_str)
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        let remaining = self.remaining_bytes.checked_sub(bytes);
        self.remaining_bytes = remaining.ok_or_else(too_large)?;
        Ok(())
    }
}

/// The automaton that the library compiles of `regex`.
fn compile(regex: &str, limit: usize) -> Result<NFA, Box<BuildError>> {
    NFA::compiler()
        .configure(Config::new().nfa_size_limit(Some(limit)))
        .build(regex)
        .map_err(Box::new)
}

/// The reason why `pattern` is not a regular expression, if the compiler knows it.
pub(in crate::schema) fn syntax_error(pattern: &str) -> Option<String> {
    compile(pattern, MAX_PATTERN_BYTES)
        .err()
        .filter(|error| error.size_limit().is_none())
        .map(|error| reason(&error))
}

fn reason(error: &BuildError) -> String {
    use std::error::Error;
    if error.size_limit().is_some() {
        return too_large();
    }
    // A syntax error is shown over several lines, the reason in the last one.
    let text = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

fn too_large() -> String {
    format!(
        "patterns too large: at most {MAX_PATTERN_BYTES} bytes compiled are allowed; write minLength and \
         maxLength in place of large repetitions"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_with_look_around_is_refused_with_the_reason() {
        let translated = TranslatedPatterns::new();
        let reason = Patterns::new(&translated)
            .cost_per_byte("a(?=b)")
            .unwrap_err();
        assert!(reason.contains("look-ahead"), "{reason}");
    }

    #[test]
    fn patterns_are_refused_when_together_they_are_too_large() {
        let translated = TranslatedPatterns::new();
        let mut patterns = Patterns::new(&translated);
        let refused = (0..10_000).find_map(|n| {
            patterns
                .cost_per_byte(&format!("^\\p{{L}}{{10}}{n}$"))
                .err()
        });
        assert_eq!(refused, Some(too_large()));
    }

    #[test]
    fn cost_of_a_byte_grows_with_the_pattern() {
        let translated = TranslatedPatterns::new();
        let mut patterns = Patterns::new(&translated);
        let small = patterns.cost_per_byte("^[a-z]+$").unwrap();
        let large = patterns.cost_per_byte("^(a|b)*a(a|b){500}c$").unwrap();
        assert!(
            small < COST_PER_STEP && large > 30 * COST_PER_STEP,
            "{small} {large}"
        );
    }
}
