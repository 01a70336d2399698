//! The server's denials: publishes and subscriptions for which the user lacks permission.
//!
//! The server reports a denial as an error text on the connection, without a reference to the message. A denial
//! is matched by its subject with the operations that wait for an answer, which then fail at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::denial::{Action, CATALOG_SUBJECT, Denial};
use crate::error::Error;
use crate::util::sync::Mutex;

/// The maximum number of warnings about denials without a waiting operation, for each connection.
const MAX_WARNINGS: u64 = 16;
/// The maximum number of subjects that are remembered as permitted.
const MAX_PERMITTED: usize = 256;
/// The maximum number of denied subscriptions to the messages of many requests that are remembered. A process has few.
const MAX_SHARED: usize = 64;
/// The maximum number of denied publishes that are remembered. There are few buckets.
const MAX_REPLACEABLE: usize = 64;
/// The time for which an operation that no longer waits is remembered: its denial may be on the way.
const ENDED_FOR: Duration = Duration::from_secs(1);
/// The maximum number of operations that are remembered after they ended.
const MAX_ENDED: usize = 64;
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
    /// The [replaceable](Denial::replaceable) publishes that were denied, until the next connect.
    replaceable: Mutex<HashSet<String>>,
    /// The operations that waited for a denial until a moment ago: nobody is to be warned of one that arrives now.
    ended: Mutex<VecDeque<(Instant, Listener)>>,
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
            replaceable: Mutex::default(),
            ended: Mutex::default(),
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
        self.replaceable.lock().clear();
    }

    /// Passes on the denial that an error text of the server reports. Returns `false` for other texts.
    pub(crate) fn observe(&self, text: &str) -> bool {
        let Some(denial) = Denial::parse(text, &self.inbox_prefix) else {
            return false;
        };
        let denial = Arc::new(denial);
        if denial.is_inbox() {
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
        if let Some(subject) = denial.replaceable() {
            let mut replaceable = self.replaceable.lock();
            if replaceable.len() < MAX_REPLACEABLE {
                replaceable.insert(subject.to_owned());
            }
        }
        if denial.action == Action::Publish {
            self.permitted.lock().remove(&denial.subject);
        }
        let mut is_reported = false;
        for listener in self.listeners.lock().values() {
            is_reported |= listener(&denial);
        }
        if is_reported
            || self.has_ended(&denial)
            || self.warnings.fetch_add(1, Ordering::Relaxed) >= MAX_WARNINGS
        {
            tracing::debug!(subject = denial.subject, "{:?} denied", denial.action);
        } else {
            tracing::warn!("{}{}", denial.to_error(), denial.consequence());
        }
        true
    }

    /// The server refuses the credentials: no pending reply can arrive.
    pub(crate) fn refuse(&self) {
        let denial = Arc::new(Denial::of_credentials());
        for listener in self.listeners.lock().values() {
            listener(&denial);
        }
    }

    /// Whether the denial concerns an operation that has ended, for example because its caller has given it up.
    fn has_ended(&self, denial: &Arc<Denial>) -> bool {
        let ended = self.ended.lock();
        let mut recent = ended.iter().filter(|(at, _)| at.elapsed() < ENDED_FOR);
        recent.any(|(_, listener)| listener(denial))
    }

    /// Remembers the listener of an operation that has ended.
    fn remember(&self, listener: Listener) {
        let mut ended = self.ended.lock();
        let oldest = match ended.len() {
            MAX_ENDED.. => ended.pop_front(),
            _ => None,
        };
        ended.push_back((Instant::now(), listener));
        // Dropped without the lock.
        drop(ended);
        drop(oldest);
    }

    /// The denial because of which no reply to a request can arrive.
    pub(crate) fn inbox(&self) -> Option<Arc<Denial>> {
        if !self.has_inbox.load(Ordering::Relaxed) {
            return None;
        }
        self.inbox.lock().clone()
    }

    /// The denial of a subscription to the result of `pattern`, which ends with `.*`. Nearly always there is none, and
    /// `pattern` is not called.
    pub(crate) fn of_shared(&self, pattern: impl FnOnce() -> String) -> Option<Arc<Denial>> {
        if !self.has_shared.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.lock().get(&pattern()).cloned()
    }

    /// Whether the server has denied `request` for stream `stream` on this connection. `request` is a subject of
    /// JetStream up to the name of the stream, such as `STREAM.PURGE`.
    pub(crate) fn is_request_denied(&self, request: &str, stream: &str) -> bool {
        let replaceable = self.replaceable.lock();
        !replaceable.is_empty()
            && replaceable.contains(&["$JS.API.", request, ".", stream].concat())
    }

    /// Whether the server has denied a write of the catalog on this connection.
    pub(crate) fn is_catalog_denied(&self) -> bool {
        self.replaceable.lock().contains(CATALOG_SUBJECT)
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

    /// Waits for the first denial that `concerns` selects, from now on. One that arrives up to a second after the watch is
    /// dropped is no cause for a warning.
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
            guard,
        }
    }
}

/// Removes its listener when it is dropped.
pub(crate) struct ListenerGuard {
    denials: Arc<Denials>,
    number: u64,
}

impl ListenerGuard {
    /// The caller drops the listener, without the lock.
    fn remove(&self) -> Option<Listener> {
        self.denials.listeners.lock().remove(&self.number)
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        drop(self.remove());
    }
}

/// Waits for a denial; made by [`Denials::watch`].
pub(crate) struct DenialWatch {
    receiver: oneshot::Receiver<Arc<Denial>>,
    denial: Option<Arc<Denial>>,
    guard: ListenerGuard,
}

impl Drop for DenialWatch {
    fn drop(&mut self) {
        if let Some(listener) = self.guard.remove() {
            self.guard.denials.remember(listener);
        }
    }
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

    #[tokio::test(start_paused = true)]
    async fn denial_of_an_operation_that_has_just_ended_is_no_warning() {
        let denials = Denials::new("_INBOX");
        let warnings = || denials.warnings.load(Ordering::Relaxed);
        let deny = |subject: &str| {
            let text = format!("Permissions Violation for Publish to \"{subject}\"");
            assert!(denials.observe(&text));
        };
        drop(denials.watch(|denial| denial.denies(Action::Publish, "a")));
        deny("a");
        assert_eq!(warnings(), 0);
        deny("b");
        assert_eq!(warnings(), 1);
        tokio::time::advance(ENDED_FOR).await;
        deny("a");
        assert_eq!(warnings(), 2);
        for _ in 0..2 * MAX_ENDED {
            drop(denials.watch(|_| true));
        }
        assert_eq!(denials.ended.lock().len(), MAX_ENDED);
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
        assert!(
            denials
                .of_shared(|| "mesh.stream.abc.*".to_owned())
                .is_some()
        );
        assert!(
            denials
                .of_shared(|| "mesh.stream.def.*".to_owned())
                .is_none()
        );
        denials.connected();
        assert!(!denials.is_permitted("b") && denials.inbox().is_none());
        assert!(
            denials
                .of_shared(|| "mesh.stream.abc.*".to_owned())
                .is_none()
        );
    }

    #[test]
    fn denied_requests_are_remembered_by_their_stream_until_the_next_connect() {
        let denials = Denials::new("_INBOX");
        let observe = |subject: &str| {
            let text = format!("Permissions Violation for Publish to \"{subject}\"");
            assert!(denials.observe(&text));
        };
        observe("$JS.API.CONSUMER.CREATE.KV_a.name.$KV.a.>");
        observe("$JS.API.STREAM.PURGE.OBJ_a");
        observe("$JS.API.STREAM.INFO.KV_a");
        assert!(denials.is_request_denied("CONSUMER.CREATE", "KV_a"));
        assert!(denials.is_request_denied("STREAM.PURGE", "OBJ_a"));
        assert!(!denials.is_request_denied("CONSUMER.CREATE", "KV"));
        assert!(!denials.is_request_denied("STREAM.INFO", "KV_a"));
        assert!(!denials.is_catalog_denied());
        observe(CATALOG_SUBJECT);
        assert!(denials.is_catalog_denied());
        denials.connected();
        assert!(!denials.is_request_denied("STREAM.PURGE", "OBJ_a"));
        assert!(!denials.is_catalog_denied());
        for number in 0..2 * MAX_REPLACEABLE {
            observe(&format!("$JS.API.STREAM.PURGE.{number}"));
        }
        assert_eq!(denials.replaceable.lock().len(), MAX_REPLACEABLE);
    }
}
