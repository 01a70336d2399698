//! The values of a key-value bucket.
//!
//! They are not read and written with the client's [`Store`]: writes add an id in a cluster, which the `Store` cannot, and
//! reads use `stored_message.rs`, which reads every stored message. `Store::keys`, `history` and `watch` panic on a
//! subject outside of the bucket's prefix and are built on the client's ordered consumer (see `ordered_consumer.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID, NATS_ROLLUP};
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use openagentmesh_protocol::subject;
use time::OffsetDateTime;

use super::access::Access;
use super::bucket::KvBucket;
use super::error::StoreError;
use super::header_block::Meaning;
use super::reads::is_denied;
use super::stored_message::{Find, StoredMessage};
use crate::error::{BoxError, Result};

/// The time for which the deletion marker of a key stays that is never written again. Watches have read it by then.
const MARKER_TTL: &str = "60s";

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
        let stored = match self.prefers_direct().await? {
            true => self.read_directly(&subject).await?,
            false => self.message("read", Find::Last(&subject)).await?,
        };
        Ok(stored.map(Stored::from))
    }

    /// Whether a direct get is the first choice: it spares the JSON. A follower may answer it with an older value, so that
    /// replicated buckets are read from their leader.
    async fn prefers_direct(&self) -> Result<bool> {
        let prefers = |store: Arc<Store>| {
            let config = &store.stream.cached_info().config;
            std::future::ready(Ok::<_, BoxError>(
                config.allow_direct && config.num_replicas == 1,
            ))
        };
        let prefers = self.try_with("read", Access::Open, prefers).await?;
        Ok(prefers && !self.avoids_direct.load(Ordering::Relaxed))
    }

    /// Reads the last message of `subject` directly, unless the client may lose its connection on it, or the server does
    /// not permit it.
    async fn read_directly(&self, subject: &str) -> Result<Option<StoredMessage>> {
        let started = self.connection().reconnections();
        let read = self.direct_last("read", subject, || {
            self.connection().reconnections() == started
        });
        match read.await {
            Ok(Some(found)) => return Ok(found),
            // The message may have ended the connection.
            Ok(None) => {}
            Err(error) if is_denied(&error) => {
                tracing::debug!(%error, "a value is not read directly");
            }
            Err(error) => return Err(error),
        }
        self.avoids_direct.store(true, Ordering::Relaxed);
        self.message("read", Find::Last(subject)).await
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

    /// Replaces the value with a deletion marker, if the last write of the key has revision `revision` or none is given.
    /// The server removes the marker after [`MARKER_TTL`], if it can: the keys of a bucket such as that of the instance
    /// records are never written again.
    pub(crate) async fn expire(
        &self,
        key: &str,
        revision: Option<u64>,
    ) -> Result<Result<(), StoreError>> {
        let allows_ttl = |store: Arc<Store>| {
            let config = &store.stream.cached_info().config;
            std::future::ready(Ok::<_, BoxError>(config.allow_message_ttl))
        };
        let mut headers = operation(revision.map(expecting).unwrap_or_default(), "DEL");
        if self.try_with("write", Access::Open, allows_ttl).await? {
            headers.insert("Nats-TTL", MARKER_TTL);
        }
        let marked = self.write(key, Bytes::new(), headers).await?;
        Ok(marked.map(drop))
    }

    /// As [`delete`](Self::delete), and removes earlier writes of the key from a bucket with a history, if the bucket allows
    /// it.
    pub(crate) async fn purge(&self, key: &str) -> Result<Result<(), StoreError>> {
        let allows_rollup = |store: Arc<Store>| {
            let config = &store.stream.cached_info().config;
            std::future::ready(Ok::<_, BoxError>(config.allow_rollup))
        };
        let mut headers = operation(HeaderMap::new(), "PURGE");
        if self.try_with("write", Access::Open, allows_rollup).await? {
            headers.insert(NATS_ROLLUP, "sub");
        }
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
