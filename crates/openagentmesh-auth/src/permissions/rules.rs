//! Rules, and the decision that a server makes by them.

use super::matching;

/// An operation on a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Publish a message on it; the subject has no wildcard.
    Publish,
    /// Subscribe to it.
    Subscribe,
}

impl Action {
    /// The name of the action: `publish` or `subscribe`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

/// Whether a rule allows or denies. A denial goes before all that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Allows the subject.
    Allow,
    /// Denies the subject, although another rule allows a wider one.
    Deny,
}

/// A subject that is allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Whether the rule allows or denies.
    pub effect: Effect,
    /// The operation.
    pub action: Action,
    /// The subject, with wildcards.
    pub subject: String,
    /// The purpose of the rule, as the end of the sentence "It may …".
    pub purpose: &'static str,
}

/// The rules of one user.
///
/// ```
/// use openagentmesh_auth::{Action, Grants, Permissions, Role};
///
/// let grants = Grants::builder(Role::Invoker).agent("shop.>".parse()?).build()?;
/// let permissions = Permissions::of(&"ada".parse()?, &grants);
/// assert!(permissions.allows(Action::Publish, "mesh.agent.shop.price"));
/// assert!(!permissions.allows(Action::Publish, "mesh.agent.shop.orders.events"));
/// assert!(!permissions.allows(Action::Subscribe, "_INBOX.>"));
/// # Ok::<(), openagentmesh_auth::AuthError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    rules: Vec<Rule>,
}

impl Permissions {
    /// The rules, those of one purpose one after the other.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether a server lets the user do `action` with `subject`.
    ///
    /// A subscription is allowed if one rule allows all that it matches. Messages that a rule denies are not delivered to it.
    #[must_use]
    pub fn allows(&self, action: Action, subject: &str) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.action == action);
        let covers = |rule: &&Rule| matching::covers(&rule.subject, subject);
        let mut is_allowed = false;
        // A denial may come after the rule that allows.
        rules.all(|rule| match rule.effect {
            Effect::Allow => {
                is_allowed |= covers(&rule);
                true
            }
            Effect::Deny => !covers(&rule),
        }) && is_allowed
    }

    /// The subjects of events that a worker publishes in its role, and that its right to call agents by a wildcard denies again:
    /// the events of an agent are below the subjects of requests.
    #[must_use]
    pub fn events_out_of_reach(&self) -> Vec<&str> {
        let of = |effect| {
            let rules = self.rules.iter();
            rules.filter(move |rule| (rule.action, rule.effect) == (Action::Publish, effect))
        };
        let events = of(Effect::Allow).filter(|rule| rule.subject.ends_with(".events"));
        let denied = events.filter(|rule| {
            of(Effect::Deny).any(|denied| matching::overlap(&denied.subject, &rule.subject))
        });
        denied.map(|rule| rule.subject.as_str()).collect()
    }

    /// The subjects of all rules of this effect and action, sorted.
    pub(crate) fn subjects(&self, action: Action, effect: Effect) -> Vec<String> {
        let rules = self.rules.iter();
        let rules = rules.filter(|rule| (rule.action, rule.effect) == (action, effect));
        let mut subjects: Vec<String> = rules.map(|rule| rule.subject.clone()).collect();
        subjects.sort();
        subjects.dedup();
        subjects
    }

    fn add(
        &mut self,
        effect: Effect,
        action: Action,
        subject: impl Into<String>,
        purpose: &'static str,
    ) {
        let rule = Rule {
            effect,
            action,
            subject: subject.into(),
            purpose,
        };
        if !self.rules.contains(&rule) {
            self.rules.push(rule);
        }
    }

    pub(super) fn publish(&mut self, subject: impl Into<String>, purpose: &'static str) {
        self.add(Effect::Allow, Action::Publish, subject, purpose);
    }

    pub(super) fn subscribe(&mut self, subject: impl Into<String>, purpose: &'static str) {
        self.add(Effect::Allow, Action::Subscribe, subject, purpose);
    }

    pub(super) fn deny_publish(&mut self, subject: impl Into<String>, purpose: &'static str) {
        self.add(Effect::Deny, Action::Publish, subject, purpose);
    }

    pub(super) fn deny_subscribe(&mut self, subject: impl Into<String>, purpose: &'static str) {
        self.add(Effect::Deny, Action::Subscribe, subject, purpose);
    }
}
