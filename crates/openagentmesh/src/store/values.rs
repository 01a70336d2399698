//! The values of a key-value bucket, read and written with the client's [`Store`].
//!
//! The `Store` suffices for direct gets where the bucket allows them: they do not panic on a stored message, and the
//! cause of an error is preserved. Writes add an id in a cluster, which the `Store` cannot. Other reads use `stored_message.rs`, which reads every
//! stored message. The `Store` is not used for lists and watches: `Store::keys`, `history` and `watch` panic on a subject
//! outside of the bucket's prefix and are built on the client's ordered consumer (see `ordered_consumer.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID, NATS_ROLLUP};
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::kv::{Entry, Operation, Store};
use bytes::Bytes;
use openagentmesh_protocol::subject;
use time::OffsetDateTime;

use super::access::Access;
use super::bucket::KvBucket;
use super::error::StoreError;
use super::header_block::Meaning;
use super::stored_message::{Find, StoredMessage};
use crate::error::{BoxError, Result};

/// The last write of a key.
pub(crate) struct Stored {
    /// The value; `None` if the last write is a deletion marker, or malformed.
    pub(crate) value: Option<Bytes>,
    pub(crate) revision: u64,
    pub(crate) created: OffsetDateTime,
    /// The reason why the last write is malformed.
    pub(crate) malformed: Option<&'static str>,
    /// Whether a client may lose its connection when it receives the message.
    pub(crate) is_suspect: bool,
}

impl From<Entry> for Stored {
    fn from(entry: Entry) -> Self {
        let is_value = entry.operation == Operation::Put;
        Self {
            value: is_value.then_some(entry.value),
            revision: entry.revision,
            created: entry.created,
            malformed: None,
            is_suspect: false,
        }
    }
}

impl From<StoredMessage> for Stored {
    fn from(message: StoredMessage) -> Self {
        let (value, malformed) = match message.meaning {
            Meaning::Value => (Some(message.payload), None),
            Meaning::Deletion => (None, None),
            Meaning::Malformed(reason) => (None, Some(reason)),
        };
        Self {
            value,
            revision: message.sequence,
            created: message.published,
            malformed,
            is_suspect: message.is_suspect,
        }
    }
}

impl KvBucket {
    /// The last write of `key`; `None` if there never was one.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `storage_error` when the key cannot be read.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Stored>> {
        let subject = subject::kv(self.name(), key);
        let started = self.connection().reconnections();
        let read = |store: Arc<Store>| {
            // A direct get delivers the message itself, on which the client may lose its connection.
            // A follower may answer it with an older value, so that replicated buckets are read from their leader.
            let config = &store.stream.cached_info().config;
            let allows_direct = config.allow_direct && config.num_replicas == 1;
            if allows_direct && self.connection().reconnections() != started {
                self.avoids_direct.store(true, Ordering::Relaxed);
            }
            let is_direct = allows_direct && !self.avoids_direct.load(Ordering::Relaxed);
            let subject = &subject;
            async move {
                if is_direct {
                    let entry = store.entry(key).await?;
                    return Ok::<_, BoxError>(entry.map(Stored::from));
                }
                let message = self.find(Find::Last(subject)).await?;
                Ok(message.map(Stored::from))
            }
        };
        self.try_with("read", Access::Read, read).await
    }

    /// Makes [`read`](Self::read) use no direct get, on whose answer the client may lose its connection.
    pub(crate) fn avoid_direct_gets(&self) {
        self.avoids_direct.store(true, Ordering::Relaxed);
    }

    /// Writes `value`, whatever the key has, and returns its revision.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with), as of all writes here.
    pub(crate) async fn put(&self, key: &str, value: Bytes) -> Result<Result<u64, StoreError>> {
        self.write(key, value, HeaderMap::new()).await
    }

    /// Writes `value` if the last write of the key has revision `revision`, and returns the new one.
    /// Revision 0 stands for a key without any write.
    pub(crate) async fn update(
        &self,
        key: &str,
        value: Bytes,
        revision: u64,
    ) -> Result<Result<u64, StoreError>> {
        self.write(key, value, expecting(revision)).await
    }

    /// As [`update`](Self::update), with a further header.
    pub(crate) async fn update_with_header(
        &self,
        key: &str,
        value: Bytes,
        revision: u64,
        (name, header): (&'static str, &str),
    ) -> Result<Result<u64, StoreError>> {
        let mut headers = expecting(revision);
        headers.insert(name, header);
        self.write(key, value, headers).await
    }

    /// Replaces the value with a deletion marker.
    pub(crate) async fn delete(&self, key: &str) -> Result<Result<(), StoreError>> {
        let headers = operation(HeaderMap::new(), "DEL");
        let deleted = self.write(key, Bytes::new(), headers).await?;
        Ok(deleted.map(drop))
    }

    /// As [`delete`](Self::delete), if the last write of the key has revision `revision`.
    pub(crate) async fn delete_revision(
        &self,
        key: &str,
        revision: u64,
    ) -> Result<Result<(), StoreError>> {
        let headers = operation(expecting(revision), "DEL");
        let deleted = self.write(key, Bytes::new(), headers).await?;
        Ok(deleted.map(drop))
    }

    /// As [`delete`](Self::delete), and removes earlier writes of the key from a bucket with a history.
    pub(crate) async fn purge(&self, key: &str) -> Result<Result<(), StoreError>> {
        let mut headers = operation(HeaderMap::new(), "PURGE");
        headers.insert(NATS_ROLLUP, "sub");
        let purged = self.write(key, Bytes::new(), headers).await?;
        Ok(purged.map(drop))
    }

    /// Writes a message with `headers` and returns its revision. In a cluster the message has an id, by which the server
    /// recognises a repeated write.
    async fn write(
        &self,
        key: &str,
        value: Bytes,
        mut headers: HeaderMap,
    ) -> Result<Result<u64, StoreError>> {
        let subject = subject::kv(self.name(), key);
        let id = self.connection().write_id();
        let access = Access::Write {
            subject: subject.clone(),
            bytes: value.len(),
            is_repeatable: id.is_some(),
        };
        if let Some(id) = id {
            headers.insert(NATS_MESSAGE_ID, id);
        }
        let write = |_: Arc<Store>| {
            let (subject, headers, value) = (subject.clone(), headers.clone(), value.clone());
            async move {
                // The client sends writes past the publisher: messages that this task published before
                // must not arrive after the write.
                self.connection().publisher.flush().await;
                // The connection may have been lost since the bucket was opened. Once it is closed, the write fails.
                self.connection().up().await.ok();
                let jetstream = self.jetstream();
                let written = jetstream
                    .publish_with_headers(subject, headers, value)
                    .await?;
                Ok::<_, PublishError>(written.await?.sequence)
            }
        };
        self.with(access, write).await
    }
}

/// The headers of a write to a key whose last write has revision `revision`.
fn expecting(revision: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    headers
}

/// The headers of a deletion marker.
fn operation(mut headers: HeaderMap, operation: &str) -> HeaderMap {
    headers.insert("KV-Operation", operation);
    headers
}
