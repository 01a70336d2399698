//! The current values of a bucket in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use openagentmesh_protocol::subject;

use super::bucket::KvBucket;
use super::header_block::Meaning;
use super::ordered_consumer::{Delivery, OrderedConsumer};
use super::source::Start;
use super::stored_message::StoredMessage;
use crate::error::{Error, Result};

/// The size of the stored values, in bytes, beyond which values are left out.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// The parsed values of a bucket by their keys, followed. A value that does not parse leaves the one before it: every user can
/// make the server store its answers under any key.
pub(crate) struct Mirror<T> {
    bucket: Arc<KvBucket>,
    consumer: OrderedConsumer<async_nats::jetstream::kv::Store>,
    parse: fn(&str, &[u8]) -> Option<T>,
    values: BTreeMap<String, Value<T>>,
    /// The size of the stored values.
    bytes: usize,
    /// Whether the values that the bucket had at first are complete.
    is_complete: bool,
}

struct Value<T> {
    parsed: T,
    /// The size of the stored value in bytes.
    bytes: usize,
}

/// An event of a [`Mirror`].
pub(crate) enum Reflection {
    /// The values differ from those before.
    Changed,
    /// All writes so far are known.
    Current,
    /// The server does not permit to follow the bucket. It is tried again by the next call.
    Denied(Error),
}

impl<T: PartialEq> Mirror<T> {
    /// `parse` reads a value with its key.
    ///
    /// # Errors
    ///
    /// Those of [`OrderedConsumer::open`].
    pub(crate) async fn open(
        bucket: &Arc<KvBucket>,
        parse: fn(&str, &[u8]) -> Option<T>,
    ) -> Result<Self> {
        let filter = subject::kv(bucket.name(), ">");
        let consumer =
            OrderedConsumer::open(Arc::clone(bucket), filter, Start::Last, false).await?;
        Ok(Self {
            bucket: Arc::clone(bucket),
            is_complete: consumer.pending() == 0,
            consumer,
            parse,
            values: BTreeMap::new(),
            bytes: 0,
        })
    }

    /// Whether the values that the bucket had when it was opened are known.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(crate) fn get(&self, key: &str) -> Option<&T> {
        self.values.get(key).map(|value| &value.parsed)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.values().map(|value| &value.parsed)
    }

    /// The next event; `None` once the connection is closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Reflection> {
        loop {
            let was_complete = self.is_complete;
            let has_changed = match self.consumer.next().await? {
                Delivery::Message(message) => {
                    self.is_complete |= self.consumer.pending() == 0;
                    self.apply(&message)
                }
                Delivery::Idle => {
                    self.is_complete = true;
                    return Some(Reflection::Current);
                }
                Delivery::BucketRecreated => {
                    self.bytes = 0;
                    let had_values = !std::mem::take(&mut self.values).is_empty();
                    self.is_complete = self.consumer.pending() == 0;
                    had_values
                }
                Delivery::Denied(error) => return Some(Reflection::Denied(error)),
            };
            if has_changed || self.is_complete != was_complete {
                return Some(Reflection::Changed);
            }
        }
    }

    /// Returns whether the value has changed.
    fn apply(&mut self, message: &StoredMessage) -> bool {
        let prefix = subject::kv(self.bucket.name(), "");
        let Some(key) = message.subject.strip_prefix(&prefix) else {
            return false;
        };
        let parsed = match message.meaning {
            Meaning::Value => match (self.parse)(key, &message.payload) {
                Some(parsed) => Some(parsed),
                None => return false,
            },
            Meaning::Malformed(_) => return false,
            Meaning::Deletion => None,
        };
        let before = self.values.remove(key);
        self.bytes -= before.as_ref().map_or(0, |value| value.bytes);
        let Some(parsed) = parsed else {
            return before.is_some();
        };
        let bytes = message.payload.len();
        if self.bytes + bytes > MAX_BYTES {
            let bucket = self.bucket.name();
            tracing::warn!(bucket, key, "a value is left out: the bucket is too large");
            return before.is_some();
        }
        self.bytes += bytes;
        let has_changed = before.is_none_or(|before| before.parsed != parsed);
        self.values.insert(key.to_owned(), Value { parsed, bytes });
        has_changed
    }
}
