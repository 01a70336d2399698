//! A list of expected failures.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::{Outcome, Report};
use crate::rule::Role;
use crate::rules::rules;

/// The failures that are known of a participant, each with its reason.
///
/// The text has one `rule-id: reason` on each line. Lines that begin with `#` are comments.
///
/// ```
/// use openagentmesh_conform::{Expected, Role};
///
/// let text = "# published before the extension\nreply-instance-id: writes no instance ids\n";
/// assert_eq!(Expected::parse(text, Role::Host)?.len(), 1);
/// assert!(Expected::parse("reply-instance-id:", Role::Host).is_err());
/// # Ok::<(), openagentmesh_conform::InvalidExpected>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected(BTreeMap<String, String>);

/// A line of a list is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid line {line}: {cause}")]
pub struct InvalidExpected {
    line: usize,
    cause: String,
}

/// A difference between a report and the list of expected failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Surprise {
    /// A rule failed that the list does not have.
    UnlistedFailure {
        /// The id of the rule.
        rule: &'static str,
        /// The reason of the failure.
        reason: String,
    },
    /// A rule of the list passed.
    ListedPass {
        /// The id of the rule.
        rule: &'static str,
    },
}

impl Expected {
    /// Parses the text of a list.
    ///
    /// # Errors
    ///
    /// [`InvalidExpected`] when a line has no reason, a rule is listed twice, or `role` has no such rule.
    pub fn parse(text: &str, role: Role) -> Result<Self, InvalidExpected> {
        let mut expected = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let invalid = |cause: String| InvalidExpected {
                line: index + 1,
                cause,
            };
            let (id, reason) = match line.split_once(':') {
                Some((id, reason)) if !reason.trim().is_empty() => (id.trim(), reason.trim()),
                _ => {
                    return Err(invalid(
                        "missing reason; write 'rule-id: reason'".to_owned(),
                    ));
                }
            };
            if !rules(role).any(|rule| rule.id == id) {
                let role = role.as_str();
                return Err(invalid(format!("rule '{id}' of a {role} not found")));
            }
            if expected.insert(id.to_owned(), reason.to_owned()).is_some() {
                return Err(invalid(format!("rule '{id}' is listed twice")));
            }
        }
        Ok(Self(expected))
    }

    /// The number of expected failures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reason why `rule` is expected to fail.
    #[must_use]
    pub fn reason(&self, rule: &str) -> Option<&str> {
        self.0.get(rule).map(String::as_str)
    }

    /// The differences between `report` and this list, in the order of the report. Skipped rules do not differ.
    #[must_use]
    pub fn compare(&self, report: &Report) -> Vec<Surprise> {
        let surprise = |judged: &crate::report::Judged| {
            let rule = judged.rule.id;
            match (&judged.outcome, self.0.contains_key(rule)) {
                (Outcome::Failed(reason), false) => Some(Surprise::UnlistedFailure {
                    rule,
                    reason: reason.clone(),
                }),
                (Outcome::Passed, true) => Some(Surprise::ListedPass { rule }),
                _ => None,
            }
        };
        report.judged().iter().filter_map(surprise).collect()
    }
}
