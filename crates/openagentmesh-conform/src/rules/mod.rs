//! The rules, one file per group.

pub(crate) mod calls;
pub(crate) mod cancellation;
pub(crate) mod catalog;
pub(crate) mod errors;
pub(crate) mod events;
pub(crate) mod instances;
pub(crate) mod outcomes;
pub(crate) mod registration;
pub(crate) mod requests;
pub(crate) mod signals;
pub(crate) mod streams;

use crate::rule::{Role, Rule};

/// The groups of rules for hosts.
const HOST: &[&[Rule]] = &[
    catalog::TABLE,
    registration::TABLE,
    calls::TABLE,
    errors::TABLE,
    streams::TABLE,
    events::TABLE,
    cancellation::TABLE,
    instances::TABLE,
];

/// The groups of rules for callers.
const CALLER: &[&[Rule]] = &[requests::TABLE, outcomes::TABLE, signals::TABLE];

/// All rules of a role, in the order of the report.
///
/// ```
/// use openagentmesh_conform::{Role, rules};
///
/// assert!(rules(Role::Host).any(|rule| rule.id == "reply-status"));
/// ```
pub fn rules(role: Role) -> impl Iterator<Item = Rule> {
    let groups = match role {
        Role::Host => HOST,
        Role::Caller => CALLER,
    };
    groups.iter().flat_map(|group| group.iter().copied())
}
