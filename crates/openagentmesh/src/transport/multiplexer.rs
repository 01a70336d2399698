//! Many reply subjects on one subscription.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_nats::Message;
use futures::FutureExt;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::client_slot::ClientSlot;
use super::headers::closed;
use super::reply_token::ReplyTokens;
use super::subscription::{Received, Subscription};
use crate::error::Result;
use crate::util::single_flight::{Outcome, SingleFlight};
use crate::util::sync::Mutex;

/// One subscription to `<prefix>.*`, shared by many requests. Each request has an [`Entry`], whose number is in
/// the last segment of its subject. A reader task takes the messages of all of them.
pub(crate) struct Multiplexer<T> {
    slot: ClientSlot,
    table: Arc<Table<T>>,
    next_number: AtomicU64,
    reader: Arc<OnceLock<AbortHandle>>,
    starting: SingleFlight<Outcome>,
    /// Cancelled when the connection has ended: the subscription may outlive it.
    ended: CancellationToken,
}

/// The values of all entries, by number. Shared by the multiplexer, its reader task and its entries.
pub(crate) struct Table<T> {
    prefix: String,
    tokens: Arc<ReplyTokens>,
    entries: Mutex<Entries<T>>,
}

struct Entries<T> {
    by_number: HashMap<u64, T>,
    /// Set when the subscription has ended: the connection is closed.
    is_closed: bool,
}

impl<T: Send + 'static> Multiplexer<T> {
    /// The subjects begin with `prefix`, which is this multiplexer's own. `ended` ends the reader.
    pub(crate) fn new(slot: &ClientSlot, prefix: String, ended: CancellationToken) -> Self {
        let entries = Entries {
            by_number: HashMap::new(),
            is_closed: false,
        };
        Self {
            slot: slot.clone(),
            table: Arc::new(Table {
                prefix,
                tokens: Arc::default(),
                entries: Mutex::new(entries),
            }),
            next_number: AtomicU64::new(0),
            reader: Arc::default(),
            starting: SingleFlight::default(),
            ended,
        }
    }

    pub(crate) fn table(&self) -> &Arc<Table<T>> {
        &self.table
    }

    /// Whether the subscription is made.
    pub(crate) fn is_started(&self) -> bool {
        self.reader.get().is_some()
    }

    /// Subscribes and spawns `read`, unless an earlier call has done so. When `read` has ended, all entries
    /// are dropped and no more can be added. Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn start<F>(
        &self,
        read: impl Fn(NumberedMessages) -> F + Clone + Send + Sync + 'static,
    ) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let is_started = || self.is_started().then_some(());
        let subscribe = || self.subscribe(read.clone());
        let started = self.starting.until_ready(is_started, subscribe);
        // Boxed: only the first request subscribes.
        started.boxed().await
    }

    fn subscribe<R, F>(&self, read: R) -> impl Future<Output = Result<()>> + Send + use<T, R, F>
    where
        R: Fn(NumberedMessages) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (slot, table) = (self.slot.clone(), Arc::clone(&self.table));
        let (reader, ended) = (Arc::clone(&self.reader), self.ended.clone());
        async move {
            let messages = Subscription::start(&slot, table.pattern(), None).await?;
            let messages = NumberedMessages {
                messages,
                tokens: Arc::clone(&table.tokens),
            };
            let reading = read(messages);
            let task = tokio::spawn(async move {
                ended.run_until_cancelled(reading).await;
                table.close();
            });
            // One task at a time gets here.
            reader.get_or_init(|| task.abort_handle());
            Ok(())
        }
    }

    /// The number of the next entry. Entries that exist now have lower numbers.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.load(Ordering::Relaxed)
    }

    /// Takes the number of an entry that is [added](Self::add_numbered) later.
    pub(crate) fn take_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds an entry for messages to a new subject.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) fn add(&self, value: T) -> Result<Entry<T>> {
        self.add_numbered(self.take_number(), value)
    }

    /// As [`add`](Self::add), with a number that was [taken](Self::take_number) for this entry alone.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub(crate) fn add_numbered(&self, number: u64, value: T) -> Result<Entry<T>> {
        let mut entries = self.table.entries.lock();
        if entries.is_closed {
            return Err(closed("no reply can arrive"));
        }
        entries.by_number.insert(number, value);
        drop(entries);
        Ok(Entry {
            table: Arc::clone(&self.table),
            number,
            is_removed: false,
        })
    }
}

impl<T> Drop for Multiplexer<T> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get() {
            reader.abort();
        }
    }
}

impl<T> Table<T> {
    /// The subject of the subscription.
    pub(crate) fn pattern(&self) -> String {
        format!("{}.*", self.prefix)
    }

    /// The last segment of the subject of entry `number`.
    pub(crate) fn token(&self, number: u64) -> String {
        self.tokens.token(number)
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().by_number.len()
    }

    /// Applies `function` to the value of entry `number`; `None` if it was removed. Other entries wait in
    /// the meantime.
    pub(crate) fn with<R>(&self, number: u64, function: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.entries.lock().by_number.get_mut(&number).map(function)
    }

    /// Removes entry `number` and returns its value.
    pub(crate) fn remove(&self, number: u64) -> Option<T> {
        self.entries.lock().by_number.remove(&number)
    }

    /// Removes the entries that `is_selected` selects by number and value, and returns their values.
    pub(crate) fn remove_all(&self, is_selected: impl Fn(u64, &T) -> bool) -> Vec<T> {
        let mut entries = self.entries.lock();
        let by_number = &mut entries.by_number;
        let selected = by_number.extract_if(|&number, value| is_selected(number, value));
        selected.map(|(_, value)| value).collect()
    }

    /// Whether there is an entry with a number below `number`.
    pub(crate) fn has_before(&self, number: u64) -> bool {
        let entries = self.entries.lock();
        entries.by_number.keys().any(|&entry| entry < number)
    }

    /// Whether `is_selected` selects an entry.
    pub(crate) fn any(&self, is_selected: impl Fn(u64, &T) -> bool) -> bool {
        let entries = self.entries.lock();
        let mut entries = entries.by_number.iter();
        entries.any(|(&number, value)| is_selected(number, value))
    }

    /// Calls `visit` with every value. It must not lock the table.
    pub(crate) fn for_each(&self, visit: impl FnMut(&T)) {
        self.entries.lock().by_number.values().for_each(visit);
    }

    fn close(&self) {
        let entries = {
            let mut entries = self.entries.lock();
            entries.is_closed = true;
            std::mem::take(&mut entries.by_number)
        };
        // Dropped without the lock.
        drop(entries);
    }
}

/// The messages to all subjects of a multiplexer.
pub(crate) struct NumberedMessages {
    messages: Subscription,
    tokens: Arc<ReplyTokens>,
}

/// An event of [`NumberedMessages`].
pub(crate) enum Numbered {
    /// A message, after the number of its entry.
    Message(u64, Message),
    /// The client of this epoch has died.
    Interrupted(u64),
}

impl NumberedMessages {
    /// The next event; `None` when the connection is closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Numbered> {
        loop {
            let message = match self.messages.receive().await? {
                Received::Message(message) => message,
                Received::Interrupted(epoch) => return Some(Numbered::Interrupted(epoch)),
            };
            let token = message.subject.rsplit('.').next();
            if let Some(number) = token.and_then(|token| self.tokens.number(token)) {
                return Some(Numbered::Message(number, message));
            }
        }
    }
}

/// One subject of a multiplexer. Removed when it is dropped.
pub(crate) struct Entry<T> {
    table: Arc<Table<T>>,
    number: u64,
    /// Set when the entry is known to be removed, which saves a lookup on drop.
    is_removed: bool,
}

impl<T> Entry<T> {
    pub(crate) fn subject(&self) -> String {
        // Every call builds one, and `format!` takes several times as long.
        [&self.table.prefix, ".", &self.table.token(self.number)].concat()
    }

    /// Applies `function` to the value; `None` if the reader task has removed it.
    pub(crate) fn with<R>(&self, function: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.table.with(self.number, function)
    }

    /// Removes the entry and returns its value, if it was not removed before.
    pub(crate) fn remove(&mut self) -> Option<T> {
        if std::mem::replace(&mut self.is_removed, true) {
            return None;
        }
        self.table.remove(self.number)
    }

    /// The reader task has removed the entry.
    pub(crate) fn set_removed(&mut self) {
        self.is_removed = true;
    }
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        self.remove();
    }
}
