//! A rule of the protocol.

use serde::{Serialize, Serializer};

/// The address of the book's pages.
const BOOK: &str = "https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/";

/// Whether a participant must follow a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// Every participant of the role follows the rule.
    Required,
    /// The rule belongs to an extension, which a participant may leave out.
    Extension,
}

impl Requirement {
    /// The word of the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Extension => "extension",
        }
    }
}

/// The side of the protocol that a participant implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Serves agents.
    Host,
    /// Sends requests to agents.
    Caller,
}

impl Role {
    /// The word of the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Caller => "caller",
        }
    }
}

/// A rule of the protocol that the kit can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The name of the rule in reports and in lists of expected failures.
    pub id: &'static str,
    /// The rule in one sentence.
    pub title: &'static str,
    /// Whether every participant follows the rule.
    pub requirement: Requirement,
    /// The page of the book that explains the rule, with its anchor, such as `protocol/calls.md#the-reply`.
    pub page: &'static str,
}

impl Rule {
    /// The address of the page that explains the rule.
    #[must_use]
    pub fn link(&self) -> String {
        [BOOK, self.page].concat()
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'r> {
            id: &'r str,
            title: &'r str,
            requirement: Requirement,
            page: String,
        }
        let Self {
            id,
            title,
            requirement,
            ..
        } = *self;
        let page = self.link();
        Shown {
            id,
            title,
            requirement,
            page,
        }
        .serialize(serializer)
    }
}

/// Defines the rules of one group: a constant for each, and a table of all.
macro_rules! rules {
    ($($name:ident $requirement:ident $id:literal $title:literal $page:literal)+) => {
        $(
            pub(crate) const $name: $crate::rule::Rule = $crate::rule::Rule {
                id: $id,
                title: $title,
                requirement: $crate::rule::Requirement::$requirement,
                page: concat!("protocol/", $page),
            };
        )+
        pub(crate) const TABLE: &[$crate::rule::Rule] = &[$($name),+];
    };
}

pub(crate) use rules;
