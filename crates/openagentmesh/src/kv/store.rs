//! The key-value store.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use openagentmesh_protocol::ErrorCode;

use super::entry::{KvChange, KvEntry, subjects};
use super::key::{check_key, check_pattern};
use super::value::KvValue;
use super::watch::KvWatch;
use crate::error::{Error, Result};
use crate::store::{HEADER_OVERHEAD, KvBucket, SharedBucket, StoreError, latest};
use crate::transport::too_large;
use crate::util::operation::Operation;

/// The key-value store of the mesh; returned by [`Client::kv`](crate::Client::kv). Cheap to clone.
///
/// A key consists of letters, digits and `-/_=.`; dots separate its segments. In patterns, `*` matches one
/// segment and a final `>` all following ones, so that `>` alone matches every key. A value is text, bytes,
/// or [`Json`](crate::Json). Text is stored unchanged, so that agents in other languages read the same.
///
/// # Errors
///
/// Every method fails with
///
/// * `invalid_input` when the key or the pattern is invalid;
/// * `connection_failed` when the server does not answer within 10 s; a large value gets more time;
/// * `connection_denied` when the server does not permit the operation to this user;
/// * `storage_error` when the server refuses the operation, or runs without JetStream.
///
/// Writes fail with `payload_too_large` before anything is sent when the value exceeds the server's limit.
///
/// # Cancel safety
///
/// Dropping a future leaves nothing running. A write that was dropped may have been done.
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
/// use openagentmesh::Json;
///
/// let kv = mesh.kv();
/// kv.put("greeting", "hello").await?;
/// kv.put("limits.retries", Json(3)).await?;
///
/// if let Some(entry) = kv.get("limits.retries").await? {
///     println!("{} retries, revision {}", entry.json::<u32>()?, entry.revision);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Kv {
    bucket: SharedBucket<KvBucket>,
}

impl Kv {
    pub(crate) fn new(bucket: &SharedBucket<KvBucket>) -> Self {
        Self {
            bucket: bucket.clone(),
        }
    }

    pub(super) fn bucket(&self) -> &Arc<KvBucket> {
        &self.bucket
    }

    /// The entry of `key`; `None` when the key has no value.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub fn get(&self, key: impl AsRef<str>) -> Operation<'static, Option<KvEntry>> {
        self.operation(key, |kv, key| async move {
            let (entry, _) = kv.read(&key).await?;
            Ok(entry)
        })
    }

    /// The entry of `key`, and the revision that a compare-and-swap expects: that of the deletion marker
    /// for a deleted key, 0 for a key without any write.
    pub(super) async fn read(&self, key: &str) -> Result<(Option<KvEntry>, u64)> {
        check_key(key)?;
        let Some(stored) = self.bucket().read(key).await? else {
            return Ok((None, 0));
        };
        if let Some(reason) = stored.malformed {
            return Err(Error::raised(
                ErrorCode::StorageError,
                format!(
                    "malformed message of key '{key}': {reason}; put() or delete() replaces it"
                ),
            )
            .with_detail("key", key));
        }
        let entry = stored.value.map(|value| KvEntry {
            key: key.to_owned(),
            value,
            revision: stored.revision,
            created: stored.created,
        });
        Ok((entry, stored.revision))
    }

    /// Writes `value` under `key`, replaces the one before, and returns the new revision.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub fn put(&self, key: impl AsRef<str>, value: impl KvValue) -> Operation<'static, u64> {
        let value = self.checked(key.as_ref(), value);
        self.operation(key, |kv, key| async move {
            let written = kv.bucket().put(&key, value?).await?;
            written.map_err(|error| kv.write_failed(&key, error))
        })
    }

    /// Writes `value` under `key` if the key has no value, and returns the revision.
    ///
    /// # Errors
    ///
    /// `kv_key_exists` when the key has a value, and those of [`Kv`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use openagentmesh::ErrorCode;
    ///
    /// // The first process leads.
    /// match mesh.kv().create("leader", mesh.instance_id().as_str()).await {
    ///     Ok(_) => println!("leading"),
    ///     Err(error) if error.code() == &ErrorCode::KvKeyExists => println!("following"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(&self, key: impl AsRef<str>, value: impl KvValue) -> Operation<'static, u64> {
        let value = self.checked(key.as_ref(), value);
        self.operation(
            key,
            |kv, key| async move { kv.create_bytes(&key, value?).await },
        )
    }

    async fn create_bytes(&self, key: &str, value: Bytes) -> Result<u64> {
        let mut expected = 0;
        // Not the client's `Store::create`: it reports that a deleted key exists when another process
        // deleted it once more in between.
        loop {
            let error = match self.bucket().update(key, value.clone(), expected).await? {
                Ok(revision) => return Ok(revision),
                Err(error) if error.is_wrong_revision() => error,
                Err(error) => return Err(self.write_failed(key, error)),
            };
            match self.read(key).await? {
                (None, revision) if revision != expected => expected = revision,
                (None, _) => return Err(self.write_failed(key, error)),
                (Some(_), _) => {
                    return Err(Error::raised(
                        ErrorCode::KvKeyExists,
                        format!(
                            "key '{key}' exists: it has a value; update() or put() replaces it"
                        ),
                    )
                    .with_detail("key", key)
                    .with_source(error));
                }
            }
        }
    }

    /// Writes `value` under `key` if the revision of the key is still `revision`, and returns the new one.
    /// Revision 0 stands for a key that was never written.
    ///
    /// # Errors
    ///
    /// `kv_wrong_revision` when another process wrote the key in between, and those of [`Kv`]. Cancel-safe.
    pub fn update(
        &self,
        key: impl AsRef<str>,
        value: impl KvValue,
        revision: u64,
    ) -> Operation<'static, u64> {
        let value = self.checked(key.as_ref(), value);
        self.operation(key, move |kv, key| async move {
            kv.update_bytes(&key, value?, revision).await
        })
    }

    async fn update_bytes(&self, key: &str, value: Bytes, revision: u64) -> Result<u64> {
        let written = self.bucket().update(key, value, revision).await?;
        written.map_err(|error| {
            if !error.is_wrong_revision() {
                return self.write_failed(key, error);
            }
            Error::raised(
                ErrorCode::KvWrongRevision,
                format!(
                    "stale revision {revision} of key '{key}': another process wrote it in between; \
                     read it again, or use modify()"
                ),
            )
            .with_detail("key", key)
            .with_detail("expected", revision)
            .with_source(error)
        })
    }

    /// Deletes the value of `key`. A key without a value is marked as deleted, too, and watches report it.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub fn delete(&self, key: impl AsRef<str>) -> Operation<'static, ()> {
        self.operation(key, |kv, key| async move {
            check_key(&key)?;
            let deleted = kv.bucket().delete(&key).await?;
            deleted.map_err(|error| kv.write_failed(&key, error))
        })
    }

    /// Deletes the value of `key`, and its earlier values from a bucket with a history.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub fn purge(&self, key: impl AsRef<str>) -> Operation<'static, ()> {
        self.operation(key, |kv, key| async move {
            check_key(&key)?;
            let purged = kv.bucket().purge(&key).await?;
            purged.map_err(|error| kv.write_failed(&key, error))
        })
    }

    /// The keys that match `pattern` and have a value, sorted.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub fn keys(&self, pattern: impl AsRef<str>) -> Operation<'static, Vec<String>> {
        self.operation(pattern, |kv, pattern| async move {
            let entries = kv.current(&pattern, true).await?;
            Ok(entries.into_iter().map(|entry| entry.key).collect())
        })
    }

    /// The entries whose keys match `pattern`, sorted by key.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub fn list(&self, pattern: impl AsRef<str>) -> Operation<'static, Vec<KvEntry>> {
        self.operation(pattern, |kv, pattern| async move {
            kv.current(&pattern, false).await
        })
    }

    /// Watches the keys that match `pattern`: the current values, then every change. See [`KvWatch`].
    ///
    /// # Errors
    ///
    /// Those of [`KvWatch`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use openagentmesh::KvChange;
    ///
    /// let mut limits = mesh.kv().watch("limits.*").await?;
    /// while let Some(change) = limits.next().await {
    ///     match change? {
    ///         KvChange::Put(entry) => println!("{} is {}", entry.key, entry.text()?),
    ///         deleted => println!("{} is deleted", deleted.key()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, pattern: impl AsRef<str>) -> KvWatch {
        KvWatch::new(&self.bucket, pattern.as_ref())
    }

    /// An operation on a key or pattern, with a handle of its own.
    pub(super) fn operation<'a, T, F>(
        &self,
        key: impl AsRef<str>,
        start: impl FnOnce(Self, String) -> F,
    ) -> Operation<'a, T>
    where
        F: Future<Output = Result<T>> + Send + 'a,
    {
        Operation::new(start(self.clone(), key.as_ref().to_owned()))
    }

    async fn current(&self, pattern: &str, headers_only: bool) -> Result<Vec<KvEntry>> {
        check_pattern(pattern)?;
        let messages = latest::list(self.bucket(), subjects(pattern), headers_only).await?;
        let mut entries = BTreeMap::new();
        for message in messages {
            match KvChange::new(&message) {
                KvChange::Put(entry) => drop(entries.insert(entry.key.clone(), entry)),
                KvChange::Deleted { key, .. } => drop(entries.remove(&key)),
            }
        }
        Ok(entries.into_values().collect())
    }

    /// The bytes of `value`, if they can be written under `key`.
    pub(super) fn checked(&self, key: &str, value: impl KvValue) -> Result<Bytes> {
        check_key(key)?;
        let value = value.into_bytes()?;
        let limit = self.bucket.connection().max_payload();
        let size = value.len() + HEADER_OVERHEAD;
        if size > limit {
            return Err(too_large(&format!("the value of key '{key}'"), size, limit));
        }
        Ok(value)
    }

    pub(super) fn write_failed(&self, key: &str, error: StoreError) -> Error {
        if error.is_too_large() {
            return Error::raised(
                ErrorCode::PayloadTooLarge,
                format!("value of key '{key}' too large: {error}; use workspace()"),
            )
            .with_source(error);
        }
        error.into_error("write", self.bucket().name())
    }
}

impl std::fmt::Debug for Kv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kv").finish_non_exhaustive()
    }
}
