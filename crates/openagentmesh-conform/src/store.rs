//! The buckets of the mesh, read and written for the checks.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::kv::{Operation, Store};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;

use crate::error::Error;
use crate::wire::Mesh;

/// The limit of each operation.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of keys that are read of a bucket.
const MAX_KEYS: usize = 10_000;

/// One bucket.
pub(crate) struct Bucket {
    name: &'static str,
    store: Store,
}

/// The value of a key, and its revision.
pub(crate) struct Stored {
    pub(crate) value: Bytes,
    pub(crate) revision: u64,
}

impl Bucket {
    /// Opens a bucket; `None` if the mesh does not have it.
    pub(crate) async fn open(mesh: &Mesh, name: &'static str) -> Result<Option<Self>, Error> {
        let mut jetstream = jetstream::new(mesh.client.clone());
        jetstream.set_timeout(STORE_TIMEOUT);
        match timeout(STORE_TIMEOUT, jetstream.get_key_value(name)).await {
            Ok(Ok(store)) => Ok(Some(Self { name, store })),
            // The client does not say whether the bucket is missing or JetStream is.
            Ok(Err(_)) => Ok(None),
            Err(_) => Err(failed(name, "the server does not answer")),
        }
    }

    /// The value of `key`; `None` if it has none, or was deleted.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Stored>, Error> {
        let entry = self.bounded(self.store.entry(key)).await?;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        Ok(entry.map(|entry| Stored {
            value: entry.value,
            revision: entry.revision,
        }))
    }

    /// Writes `key` if its revision is `revision`. Returns whether it was.
    pub(crate) async fn swap(&self, key: &str, value: Bytes, revision: u64) -> Result<bool, Error> {
        match timeout(STORE_TIMEOUT, self.store.update(key, value, revision)).await {
            Ok(written) => Ok(written.is_ok()),
            Err(_) => Err(failed(self.name, "the server does not answer")),
        }
    }

    /// Writes `key`, whatever its revision.
    pub(crate) async fn put(&self, key: &str, value: Bytes) -> Result<(), Error> {
        self.bounded(self.store.put(key, value)).await.map(drop)
    }

    /// Deletes `key`.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), Error> {
        self.bounded(self.store.delete(key)).await
    }

    /// The first keys of the bucket.
    pub(crate) async fn keys(&self) -> Result<Vec<String>, Error> {
        let keys = self.bounded(self.store.keys()).await?;
        let keys = keys.take(MAX_KEYS).filter_map(async |key| key.ok());
        let keys = timeout(STORE_TIMEOUT, keys.collect()).await;
        keys.map_err(|_| failed(self.name, "its keys do not arrive"))
    }

    async fn bounded<T, E: std::fmt::Display>(
        &self,
        operation: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        match timeout(STORE_TIMEOUT, operation).await {
            Ok(done) => done.map_err(|error| failed(self.name, error)),
            Err(_) => Err(failed(self.name, "the server does not answer")),
        }
    }
}

fn failed(bucket: &'static str, cause: impl std::fmt::Display) -> Error {
    Error::Storage {
        bucket,
        cause: cause.to_string(),
    }
}
