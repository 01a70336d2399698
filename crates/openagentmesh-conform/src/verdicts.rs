//! The outcomes of the rules, while a check runs.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use openagentmesh_protocol::Visible;

use crate::report::{Judged, Outcome};
use crate::rule::Rule;

/// A longer reason is cut: parts of it come from the participant.
const MAX_REASON_CHARS: usize = 300;

/// The outcome of each rule so far. A failure outweighs a pass, and a pass outweighs a skip.
#[derive(Default)]
pub(crate) struct Verdicts(Mutex<BTreeMap<&'static str, Outcome>>);

impl Verdicts {
    pub(crate) fn pass(&self, rule: Rule) {
        self.add(rule, Outcome::Passed);
    }

    /// `reason` has the form `problem: cause`.
    pub(crate) fn fail(&self, rule: Rule, reason: impl Display) {
        self.add(rule, Outcome::Failed(one_line(reason)));
    }

    pub(crate) fn skip(&self, rule: Rule, reason: impl Display) {
        self.add(rule, Outcome::Skipped(one_line(reason)));
    }

    pub(crate) fn skip_all(&self, rules: &[Rule], reason: impl Display + Copy) {
        for rule in rules {
            self.skip(*rule, reason);
        }
    }

    pub(crate) fn judge<R: Display>(&self, rule: Rule, verdict: Result<(), R>) {
        match verdict {
            Ok(()) => self.pass(rule),
            Err(reason) => self.fail(rule, reason),
        }
    }

    /// Passes where `holds`, else fails with `reason`.
    pub(crate) fn require(&self, rule: Rule, holds: bool, reason: impl Display) {
        self.judge(rule, if holds { Ok(()) } else { Err(reason) });
    }

    /// The outcome of `rule` so far.
    pub(crate) fn of(&self, rule: Rule) -> Option<Outcome> {
        let outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.get(rule.id).cloned()
    }

    /// The outcome of each of `rules`. A rule without a verdict is skipped with `unexercised`.
    pub(crate) fn judged(
        &self,
        rules: impl Iterator<Item = Rule>,
        unexercised: &str,
    ) -> Vec<Judged> {
        let judged = |rule| {
            let outcome = self.of(rule);
            let skipped = || Outcome::Skipped(unexercised.to_owned());
            Judged {
                rule,
                outcome: outcome.unwrap_or_else(skipped),
            }
        };
        rules.map(judged).collect()
    }

    fn add(&self, rule: Rule, outcome: Outcome) {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcomes.get_mut(rule.id) {
            Some(known) => known.merge(outcome),
            None => drop(outcomes.insert(rule.id, outcome)),
        }
    }
}

/// A text of the participant on one line, without control characters, and bounded.
fn one_line(reason: impl Display) -> String {
    let mut text = Visible(reason).to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}
