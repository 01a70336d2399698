//! The server's denials: publishes and subscriptions for which the user lacks permission.
//!
//! The server reports a denial as an error text on the connection, without a reference to the message. A denial
//! is matched by its subject with the operations that wait for an answer, which then fail at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use openagentmesh_protocol::ErrorCode;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::util::sync::Mutex;

/// The maximum size of an error text that is parsed, in bytes. A subject is shorter.
const MAX_TEXT_BYTES: usize = 8 * 1024;
/// The maximum number of warnings about denials without a waiting operation, for each connection.
const MAX_WARNINGS: u64 = 16;
/// The maximum number of subjects that are remembered as permitted.
const MAX_PERMITTED: usize = 256;
/// The maximum number of denied subscriptions to the messages of many requests that are remembered. A process has few.
const MAX_SHARED: usize = 64;

/// The operation that the server denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    Subscribe,
}

/// A denial of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    action: Action,
    subject: String,
    /// Whether a subscription was denied on which this process receives the replies to many requests.
    is_inbox: bool,
}

impl Denial {
    /// The denial that an error text of the server reports; `None` for other texts.
    fn parse(text: &str, inbox_prefix: &str) -> Option<Self> {
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
        })
    }

    /// Whether a subscription to the messages of many requests was denied.
    fn is_shared(&self) -> bool {
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

    /// The consequence of a denial that no operation waits for. The server reports a denied reply to the host only.
    fn consequence(&self) -> &'static str {
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

/// Returns whether the denial concerns the listener.
type Listener = Box<dyn Fn(&Arc<Denial>) -> bool + Send + Sync>;

/// Passes each denial to the operations that it concerns.
pub(crate) struct Denials {
    inbox_prefix: String,
    listeners: Mutex<HashMap<u64, Listener>>,
    next_listener: AtomicU64,
    /// The subjects to which the server has permitted a publish on this connection.
    permitted: Mutex<HashSet<String>>,
    /// The denied subscription to replies, until the next connect: the client does not repeat it before.
    inbox: Mutex<Option<Arc<Denial>>>,
    /// Whether `inbox` is set. Every request reads it.
    has_inbox: AtomicBool,
    /// The denied subscriptions to the messages of many requests, until the next connect.
    shared: Mutex<HashMap<String, Arc<Denial>>>,
    /// Whether `shared` has any. Every stream reads it.
    has_shared: AtomicBool,
    /// The number of denials of this connection that no operation waited for.
    warnings: AtomicU64,
}

impl Denials {
    pub(crate) fn new(inbox_prefix: &str) -> Arc<Self> {
        Arc::new(Self {
            inbox_prefix: inbox_prefix.to_owned(),
            listeners: Mutex::default(),
            next_listener: AtomicU64::new(0),
            permitted: Mutex::default(),
            inbox: Mutex::default(),
            has_inbox: AtomicBool::new(false),
            shared: Mutex::default(),
            has_shared: AtomicBool::new(false),
            warnings: AtomicU64::new(0),
        })
    }

    /// Forgets the permissions of an earlier connection: the next one may be another user's.
    pub(crate) fn connected(&self) {
        self.permitted.lock().clear();
        self.has_inbox.store(false, Ordering::Relaxed);
        self.warnings.store(0, Ordering::Relaxed);
        *self.inbox.lock() = None;
        self.has_shared.store(false, Ordering::Relaxed);
        self.shared.lock().clear();
    }

    /// Passes on the denial that an error text of the server reports. Returns `false` for other texts.
    pub(crate) fn observe(&self, text: &str) -> bool {
        let Some(denial) = Denial::parse(text, &self.inbox_prefix) else {
            return false;
        };
        let denial = Arc::new(denial);
        if denial.is_inbox {
            *self.inbox.lock() = Some(Arc::clone(&denial));
            self.has_inbox.store(true, Ordering::Relaxed);
        }
        if denial.is_shared() {
            let mut shared = self.shared.lock();
            if shared.len() < MAX_SHARED {
                shared.insert(denial.subject.clone(), Arc::clone(&denial));
                self.has_shared.store(true, Ordering::Relaxed);
            }
        }
        if denial.action == Action::Publish {
            self.permitted.lock().remove(&denial.subject);
        }
        let mut is_reported = false;
        for listener in self.listeners.lock().values() {
            is_reported |= listener(&denial);
        }
        if is_reported || self.warnings.fetch_add(1, Ordering::Relaxed) >= MAX_WARNINGS {
            tracing::debug!(subject = denial.subject, "{:?} denied", denial.action);
        } else {
            tracing::warn!("{}{}", denial.to_error(), denial.consequence());
        }
        true
    }

    /// The denial because of which no reply to a request can arrive.
    pub(crate) fn inbox(&self) -> Option<Arc<Denial>> {
        if !self.has_inbox.load(Ordering::Relaxed) {
            return None;
        }
        self.inbox.lock().clone()
    }

    /// The denial of a subscription to `pattern`, which ends with `.*`.
    pub(crate) fn of_shared(&self, pattern: &str) -> Option<Arc<Denial>> {
        if !self.has_shared.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.lock().get(pattern).cloned()
    }

    /// Whether a publish to `subject` needs no confirmation: one was permitted on this connection, or too many
    /// subjects are in use to remember them.
    pub(crate) fn is_permitted(&self, subject: &str) -> bool {
        let permitted = self.permitted.lock();
        permitted.contains(subject) || permitted.len() >= MAX_PERMITTED
    }

    pub(crate) fn set_permitted(&self, subject: &str) {
        let mut permitted = self.permitted.lock();
        if permitted.len() < MAX_PERMITTED {
            permitted.insert(subject.to_owned());
        }
    }

    /// Calls `listener` with each denial until the guard is dropped. The listener must not block.
    pub(crate) fn listen(
        self: &Arc<Self>,
        listener: impl Fn(&Arc<Denial>) -> bool + Send + Sync + 'static,
    ) -> ListenerGuard {
        let number = self.next_listener.fetch_add(1, Ordering::Relaxed);
        self.listeners.lock().insert(number, Box::new(listener));
        ListenerGuard {
            denials: Arc::clone(self),
            number,
        }
    }

    /// Waits for the first denial that `concerns` selects, from now on.
    pub(crate) fn watch(
        self: &Arc<Self>,
        concerns: impl Fn(&Denial) -> bool + Send + Sync + 'static,
    ) -> DenialWatch {
        let (sender, receiver) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let guard = self.listen(move |denial| {
            let is_concerned = concerns(denial);
            if is_concerned && let Some(sender) = sender.lock().take() {
                // The receiver may be dropped at this moment.
                drop(sender.send(Arc::clone(denial)));
            }
            is_concerned
        });
        DenialWatch {
            receiver,
            denial: None,
            _guard: guard,
        }
    }
}

/// Removes its listener when it is dropped.
pub(crate) struct ListenerGuard {
    denials: Arc<Denials>,
    number: u64,
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        let listener = self.denials.listeners.lock().remove(&self.number);
        // Dropped without the lock.
        drop(listener);
    }
}

/// Waits for a denial; made by [`Denials::watch`].
pub(crate) struct DenialWatch {
    receiver: oneshot::Receiver<Arc<Denial>>,
    denial: Option<Arc<Denial>>,
    _guard: ListenerGuard,
}

impl DenialWatch {
    /// Resolves with the error of the denial; never without one. Cancel-safe.
    pub(crate) async fn denied(&mut self) -> Error {
        if self.denial.is_none() {
            match (&mut self.receiver).await {
                Ok(denial) => self.denial = Some(denial),
                // Unreachable: the listener of the guard has the sender.
                Err(_) => std::future::pending().await,
            }
        }
        match &self.denial {
            Some(denial) => denial.to_error(),
            None => std::future::pending().await,
        }
    }

    /// # Errors
    ///
    /// `connection_denied` when a denial has arrived.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        if self.denial.is_none() {
            self.denial = self.receiver.try_recv().ok();
        }
        match &self.denial {
            Some(denial) => Err(denial.to_error()),
            None => Ok(()),
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

    #[tokio::test]
    async fn watch_gets_only_the_denial_that_concerns_it() {
        let denials = Denials::new("_INBOX");
        let mut watch = denials.watch(|denial| denial.denies(Action::Publish, "a"));
        let mut other = denials.watch(|denial| denial.denies(Action::Publish, "b"));
        assert!(!denials.observe("Stale Connection"));
        assert!(denials.observe("Permissions Violation for Publish to \"a\""));
        assert!(denials.observe("Permissions Violation for Publish to \"a\""));
        assert_eq!(watch.denied().await.details()["subject"], "a");
        assert!(watch.check().is_err());
        assert!(other.check().is_ok());
        drop((watch, other));
        assert!(denials.listeners.lock().is_empty());
    }

    #[test]
    fn permitted_subjects_are_bounded_and_forgotten_on_denial_and_on_connect() {
        let denials = Denials::new("_INBOX");
        denials.set_permitted("a");
        assert!(denials.is_permitted("a") && !denials.is_permitted("b"));
        denials.observe("Permissions Violation for Publish to \"a\"");
        assert!(!denials.is_permitted("a"));
        for number in 0..2 * MAX_PERMITTED {
            denials.set_permitted(&number.to_string());
        }
        assert_eq!(denials.permitted.lock().len(), MAX_PERMITTED);
        assert!(denials.is_permitted("b"), "no further subject is confirmed");
        denials.observe("Permissions Violation for Subscription to \"_INBOX.abc.*\"");
        denials.observe("Permissions Violation for Subscription to \"mesh.stream.abc.*\"");
        assert!(denials.inbox().is_some());
        assert!(denials.of_shared("mesh.stream.abc.*").is_some());
        assert!(denials.of_shared("mesh.stream.def.*").is_none());
        denials.connected();
        assert!(!denials.is_permitted("b") && denials.inbox().is_none());
        assert!(denials.of_shared("mesh.stream.abc.*").is_none());
    }
}
