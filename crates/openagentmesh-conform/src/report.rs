//! The result of a check.

use serde::{Serialize, Serializer};

use crate::rule::{Requirement, Role, Rule};

/// The outcome of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The participant follows the rule.
    Passed,
    /// The participant does not follow the rule. The reason has the form `problem: cause`.
    Failed(String),
    /// The rule was not checked, for this reason.
    Skipped(String),
}

impl Outcome {
    /// The outcome as a word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    /// The reason of a failure or of a skip.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Failed(reason) | Self::Skipped(reason) => Some(reason),
        }
    }

    /// Adds another outcome of the same rule: a failure outweighs a pass, and a pass outweighs a skip. The first of two
    /// reasons is kept.
    pub(crate) fn merge(&mut self, other: Self) {
        let weight = |outcome: &Self| match outcome {
            Self::Skipped(_) => 0,
            Self::Passed => 1,
            Self::Failed(_) => 2,
        };
        if weight(&other) > weight(self) {
            *self = other;
        }
    }
}

/// A rule and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The rule.
    pub rule: Rule,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Serialize for Judged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'j> {
            #[serde(flatten)]
            rule: Rule,
            outcome: &'j str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'j str>,
        }
        Shown {
            rule: self.rule,
            outcome: self.outcome.as_str(),
            reason: self.outcome.reason(),
        }
        .serialize(serializer)
    }
}

/// The number of rules by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rules that the participant follows.
    pub passed: usize,
    /// Rules that the participant does not follow.
    pub failed: usize,
    /// Rules that were not checked.
    pub skipped: usize,
}

/// The number of rules by requirement and outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rules that every participant follows.
    pub required: Counts,
    /// Rules of extensions.
    pub extension: Counts,
}

/// The outcome of each rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    role: Role,
    #[serde(rename = "rules")]
    judged: Vec<Judged>,
}

impl Report {
    pub(crate) fn new(role: Role, judged: Vec<Judged>) -> Self {
        Self { role, judged }
    }

    /// The role of the participant.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The rules in the order of the protocol's pages, each with its outcome.
    #[must_use]
    pub fn judged(&self) -> &[Judged] {
        &self.judged
    }

    /// The outcome of the rule `id`; `None` if the role has no such rule.
    #[must_use]
    pub fn outcome(&self, id: &str) -> Option<&Outcome> {
        let judged = self.judged.iter().find(|judged| judged.rule.id == id)?;
        Some(&judged.outcome)
    }

    /// Whether no required rule failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.summary().required.failed == 0
    }

    /// The number of rules by requirement and outcome.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for judged in &self.judged {
            let counts = match judged.rule.requirement {
                Requirement::Required => &mut summary.required,
                Requirement::Extension => &mut summary.extension,
            };
            match judged.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Skipped(_) => counts.skipped += 1,
            }
        }
        summary
    }

    /// Adds the report about another agent of the same participant. A rule fails if it fails for one of them. It is
    /// skipped if it is skipped for all.
    pub fn merge(&mut self, other: Self) {
        for (judged, other) in self.judged.iter_mut().zip(other.judged) {
            judged.outcome.merge(other.outcome);
        }
    }
}
