//! The values of a key-value bucket, read and written with the client's [`Store`].
//!
//! The `Store` suffices for single keys: it reads without direct gets where the bucket forbids them, none
//! of these functions panics on a stored message, and the cause of an error is preserved. It is not used
//! for lists and watches: `Store::keys`, `history` and `watch` panic on a subject outside of the bucket's
//! prefix and are built on the client's ordered consumer (see `ordered_consumer.rs`).

use std::sync::Arc;

use async_nats::Message;
use async_nats::header::NATS_MARKER_REASON;
use async_nats::jetstream::kv::{Entry, Operation, Store};
use bytes::Bytes;
use openagentmesh_protocol::subject;
use time::OffsetDateTime;

use super::access::Access;
use super::bucket::KvBucket;
use super::error::StoreError;
use crate::error::{BoxError, Result};

/// The header by which a client marks a key as deleted.
const KV_OPERATION: &str = "KV-Operation";

/// The last write of a key.
pub(crate) struct Stored {
    /// The value; `None` if the last write is a deletion marker.
    pub(crate) value: Option<Bytes>,
    pub(crate) revision: u64,
    pub(crate) created: OffsetDateTime,
}

impl From<Entry> for Stored {
    fn from(entry: Entry) -> Self {
        let is_value = entry.operation == Operation::Put;
        Self {
            value: is_value.then_some(entry.value),
            revision: entry.revision,
            created: entry.created,
        }
    }
}

/// Whether `message` of a key-value bucket carries a value, and not a deletion marker: of a client, or of
/// the server for a value that expired. The same rule as in [`Store::entry`].
pub(crate) fn is_value(message: &Message) -> bool {
    let header = |name| Some(message.headers.as_ref()?.get(name)?.as_str());
    match header(KV_OPERATION) {
        Some(operation) => !matches!(operation, "DEL" | "PURGE"),
        None => !matches!(
            header(NATS_MARKER_REASON.as_ref()),
            Some("MaxAge" | "Purge" | "Remove")
        ),
    }
}

impl KvBucket {
    /// The last write of `key`; `None` if there never was one.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `storage_error` when the key cannot be read.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Stored>> {
        let read = |store: Arc<Store>| async move { store.entry(key).await };
        Ok(self
            .try_with("read", Access::Read, read)
            .await?
            .map(Stored::from))
    }

    /// Writes `value`, whatever the key has, and returns its revision.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with), as of all writes here.
    pub(crate) async fn put(&self, key: &str, value: Bytes) -> Result<Result<u64, StoreError>> {
        let bytes = value.len();
        let put = |store: Arc<Store>| {
            let value = value.clone();
            async move { store.put(key, value).await }
        };
        self.write(key, bytes, put).await
    }

    /// Writes `value` if the last write of the key has revision `revision`, and returns the new one.
    /// Revision 0 stands for a key without any write.
    pub(crate) async fn update(
        &self,
        key: &str,
        value: Bytes,
        revision: u64,
    ) -> Result<Result<u64, StoreError>> {
        let bytes = value.len();
        let update = |store: Arc<Store>| {
            let value = value.clone();
            async move { store.update(key, value, revision).await }
        };
        self.write(key, bytes, update).await
    }

    /// Replaces the value with a deletion marker.
    pub(crate) async fn delete(&self, key: &str) -> Result<Result<(), StoreError>> {
        self.write(key, 0, |store| async move { store.delete(key).await })
            .await
    }

    /// As [`delete`](Self::delete), and removes earlier writes of the key from a bucket with a history.
    pub(crate) async fn purge(&self, key: &str) -> Result<Result<(), StoreError>> {
        self.write(key, 0, |store| async move { store.purge(key).await })
            .await
    }

    async fn write<T, E, F>(
        &self,
        key: &str,
        bytes: usize,
        operation: impl Fn(Arc<Store>) -> F,
    ) -> Result<Result<T, StoreError>>
    where
        E: Into<BoxError>,
        F: Future<Output = Result<T, E>>,
    {
        let write = |store| {
            let written = operation(store);
            async move {
                // The client sends writes past the publisher: messages that this task published before
                // must not arrive after the write.
                self.connection().publisher.flush().await;
                written.await
            }
        };
        let access = Access::Write {
            subject: subject::kv(self.name(), key),
            bytes,
        };
        self.with(access, write).await
    }
}
