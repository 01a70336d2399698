//! One denial of the server, read from its error text.

use openagentmesh_protocol::ErrorCode;

use crate::error::Error;

/// The maximum size of an error text that is parsed, in bytes. A subject is shorter.
const MAX_TEXT_BYTES: usize = 8 * 1024;
/// The first parts of requests to JetStream in whose place another one serves. The name of a stream follows.
const REPLACEABLE: [&str; 3] = [
    "$JS.API.CONSUMER.CREATE.",
    "$JS.API.STREAM.MSG.GET.",
    "$JS.API.STREAM.PURGE.",
];
/// The subject of the catalog: a monitor writes it in place of a host that may not.
pub(super) const CATALOG_SUBJECT: &str = "$KV.mesh-catalog.catalog";

/// The operation that the server denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    Subscribe,
}

/// A denial of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(super) action: Action,
    pub(super) subject: String,
    /// Whether a subscription was denied on which this process receives the replies to many requests.
    is_inbox: bool,
    /// Whether the credentials were refused, and with them everything.
    is_of_credentials: bool,
}

impl Denial {
    /// The text of refused credentials.
    pub(super) const REFUSAL: &str =
        "the mesh refuses the credentials, which have expired, or were revoked or replaced";

    /// The refusal of the credentials.
    pub(super) fn of_credentials() -> Self {
        Self {
            action: Action::Publish,
            subject: String::new(),
            is_inbox: false,
            is_of_credentials: true,
        }
    }

    /// The denial that an error text of the server reports; `None` for other texts.
    pub(super) fn parse(text: &str, inbox_prefix: &str) -> Option<Self> {
        if text.len() > MAX_TEXT_BYTES {
            return None;
        }
        let rest = text.strip_prefix("Permissions Violation for ")?;
        let (action, rest) = match rest.strip_prefix("Publish to ") {
            Some(rest) => (Action::Publish, rest),
            None => (Action::Subscribe, rest.strip_prefix("Subscription to ")?),
        };
        let subject = unquote(rest)?;
        let below = subject.strip_prefix(inbox_prefix);
        Some(Self {
            action,
            is_inbox: action == Action::Subscribe
                && below.is_some_and(|below| below.starts_with('.') && below.ends_with(".*")),
            subject,
            is_of_credentials: false,
        })
    }

    /// Whether the credentials were refused.
    pub(crate) fn is_of_credentials(&self) -> bool {
        self.is_of_credentials
    }

    /// Whether a subscription to the messages of many requests was denied.
    pub(super) fn is_shared(&self) -> bool {
        self.action == Action::Subscribe && self.subject.ends_with(".*")
    }

    pub(crate) fn denies(&self, action: Action, subject: &str) -> bool {
        self.action == action && self.subject == subject
    }

    /// Whether no reply to any request of this process can arrive.
    pub(crate) fn is_inbox(&self) -> bool {
        self.is_inbox
    }

    /// The subject of a denied publish.
    pub(crate) fn published_subject(&self) -> Option<&str> {
        (self.action == Action::Publish).then_some(&*self.subject)
    }

    /// The part of the subject by which a denied publish is remembered, if another operation can take its place:
    /// requests to JetStream up to the name of the stream.
    pub(super) fn replaceable(&self) -> Option<&str> {
        let subject = self.published_subject()?;
        if subject == CATALOG_SUBJECT {
            return Some(subject);
        }
        let prefix = REPLACEABLE
            .iter()
            .find(|prefix| subject.starts_with(**prefix))?;
        let end = subject[prefix.len()..].find('.');
        Some(end.map_or(subject, |end| &subject[..prefix.len() + end]))
    }

    /// The consequence of a denial that no operation waits for. The server reports a denied reply to the host only.
    pub(super) fn consequence(&self) -> &'static str {
        let is_reply = self.action == Action::Publish && self.subject.starts_with("_INBOX.");
        match is_reply {
            true => {
                "; a reply of an agent is lost and its caller waits for its timeout: allow_responses in the \
                 permissions of the user lets the agent reply"
            }
            false => "",
        }
    }

    pub(crate) fn to_error(&self) -> Error {
        if self.is_of_credentials {
            let refusal = Self::REFUSAL;
            let message = format!(
                "connection denied: {refusal}; renew them: a file is read again at each attempt to connect"
            );
            return Error::raised(ErrorCode::ConnectionDenied, message)
                .with_detail("credentials", "refused");
        }
        let subject = &self.subject;
        let (operation, permission) = match self.action {
            Action::Publish => ("publish", "publish to"),
            Action::Subscribe => ("subscribe", "subscribe to"),
        };
        let remedy = if self.is_inbox {
            "replies arrive there; give the user the permission, or set inbox_prefix to a permitted one"
        } else if self.is_shared() && subject.starts_with("mesh.stream.") {
            "the chunks of all streams arrive there; give the user the permission to subscribe to mesh.stream.>"
        } else if self.is_shared() && subject.starts_with("mesh.results.") {
            "the replies for callbacks arrive there; give the user the permission to subscribe to mesh.results.>"
        } else {
            "give the user the permission in the server's configuration, or use another user"
        };
        Error::raised(
            ErrorCode::ConnectionDenied,
            format!(
                "connection denied: the server does not permit this user to {permission} '{subject}'; {remedy}"
            ),
        )
        .with_detail("operation", operation)
        .with_detail("subject", subject.as_str())
    }
}

/// The text in the quotes at the start of `text`, as Go's `%q` writes it. `None` if it has escapes other than
/// those of quotes and backslashes: such a subject was not published by this process.
fn unquote(text: &str) -> Option<String> {
    let mut characters = text.strip_prefix('"')?.chars();
    let mut unquoted = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(unquoted),
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\') => unquoted.push(escaped),
                _ => return None,
            },
            other => unquoted.push(other),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Denial> {
        Denial::parse(text, "_INBOX.team")
    }

    #[test]
    fn denials_are_parsed_from_the_servers_texts() {
        let publish = parsed("Permissions Violation for Publish to \"mesh.agent.echo\"").unwrap();
        assert!(publish.denies(Action::Publish, "mesh.agent.echo"));
        assert!(!publish.denies(Action::Subscribe, "mesh.agent.echo"));
        let queue = "Permissions Violation for Subscription to \"a.\\\"b\" using queue \"q.a\"";
        let subscribe = parsed(queue).unwrap();
        assert!(subscribe.denies(Action::Subscribe, "a.\"b"));
        let message = subscribe.to_error().message().to_owned();
        assert!(message.contains("subscribe to 'a.\"b'"), "{message}");
    }

    #[test]
    fn only_a_subscription_for_many_replies_is_an_inbox() {
        let is_inbox = |action: &str, subject: &str| {
            let text = format!("Permissions Violation for {action} to \"{subject}\"");
            parsed(&text).unwrap().is_inbox()
        };
        assert!(is_inbox("Subscription", "_INBOX.team.abc.*"));
        assert!(!is_inbox("Subscription", "_INBOX.team.abc"));
        assert!(!is_inbox("Subscription", "_INBOX.teams.abc.*"));
        assert!(!is_inbox("Publish", "_INBOX.team.abc.*"));
    }

    #[test]
    fn denied_reply_is_explained() {
        let consequence = |action: &str, subject: &str| {
            let text = format!("Permissions Violation for {action} to \"{subject}\"");
            parsed(&text).unwrap().consequence()
        };
        assert!(consequence("Publish", "_INBOX.a.b").contains("allow_responses"));
        assert_eq!(consequence("Publish", "news"), "");
        assert_eq!(consequence("Subscription", "_INBOX.a.*"), "");
    }

    #[test]
    fn other_and_hostile_texts_are_no_denials() {
        let huge = format!(
            "Permissions Violation for Publish to \"{}\"",
            "x".repeat(MAX_TEXT_BYTES)
        );
        for text in [
            "",
            "Permissions Violation",
            "Permissions Violation for Publish to ",
            "Permissions Violation for Publish to \"unclosed",
            "Permissions Violation for Publish to \"a\\",
            "Permissions Violation for Publish to \"a\\x00b\"",
            "Permissions Violation for Deletion to \"a\"",
            "Maximum Payload Violation",
            &huge,
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
