//! Values under keys, shared by everybody on the mesh.

mod key;
mod modify;
mod value;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::jetstream::Message;
use bytes::Bytes;
use openagentmesh_protocol::bucket::CONTEXT;
use openagentmesh_protocol::{ErrorCode, subject};

use crate::error::{Error, Result};
use crate::store::latest;
use crate::store::{
    Change, KvBucket, MARKER, OPERATION, PUT, SharedBucket, StoreError, is_too_large,
};
use crate::transport::too_large;
use key::{check_key, check_pattern};

pub use value::{Json, KvEntry, KvValue};
pub use watch::{KvChange, KvChanges, KvWatch};

/// What the headers of a write take at most, in bytes.
const HEADERS: usize = 128;

/// The key-value store that agents share; made by [`Client::kv`](crate::Client::kv). Cheap to clone.
///
/// A key is made of letters, digits and `-/_=.`; dots part it into segments. Patterns have `*` in the
/// place of a segment and `>` in the place of all that follow, so that `>` alone is every key. A value
/// is text, bytes, or [`Json`]: strings are stored as they are, so that agents in other languages read
/// them as they are.
///
/// # Errors
///
/// Every method fails with `invalid_input` when the key or the pattern is none, and with
/// `connection_failed` when the server does not answer within 10 s or does not do it. Writing fails
/// with `payload_too_large` before anything is sent when the value does not fit the server.
///
/// # Cancel safety
///
/// A future that is dropped leaves nothing behind; whether a write was done is not known then.
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

    fn bucket(&self) -> &Arc<KvBucket> {
        &self.bucket
    }

    /// The value of `key`; `None` when it has none.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub async fn get(&self, key: impl AsRef<str>) -> Result<Option<KvEntry>> {
        let (entry, _) = self.read(key.as_ref()).await?;
        Ok(entry)
    }

    /// The value of `key`, and the revision that the next write of it expects: also of a key that was
    /// deleted; 0 of one that never was.
    async fn read(&self, key: &str) -> Result<(Option<KvEntry>, u64)> {
        check_key(key)?;
        let Some(stored) = self.bucket().read(key).await? else {
            return Ok((None, 0));
        };
        let entry = stored.value.map(|value| KvEntry {
            key: key.to_owned(),
            value,
            revision: stored.revision,
            created: stored.created,
        });
        Ok((entry, stored.revision))
    }

    /// Puts `value` under `key`, whatever was there, and returns its revision.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub async fn put(&self, key: impl AsRef<str>, value: impl KvValue) -> Result<u64> {
        let key = key.as_ref();
        let value = self.checked(key, value)?;
        let written = self.bucket().write(key, Change::Put(value)).await?;
        written.map_err(|error| self.not_written(key, error))
    }

    /// Puts `value` under `key` if it has none, and returns its revision.
    ///
    /// # Errors
    ///
    /// `kv_key_exists` when the key has a value, and those of [`Kv`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use openagentmesh::ErrorCode;
    ///
    /// // Whoever comes first leads.
    /// match mesh.kv().create("leader", mesh.instance_id().as_str()).await {
    ///     Ok(_) => println!("leading"),
    ///     Err(error) if error.code() == &ErrorCode::KvKeyExists => println!("following"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create(&self, key: impl AsRef<str>, value: impl KvValue) -> Result<u64> {
        let key = key.as_ref();
        let value = self.checked(key, value)?;
        let mut expected = 0;
        loop {
            let refused = match self.write_if(key, value.clone(), expected).await? {
                Ok(revision) => return Ok(revision),
                Err(refused) if refused.is_wrong_revision() => refused,
                Err(refused) => return Err(self.not_written(key, refused)),
            };
            // One that was deleted has a revision, but no value.
            match self.read(key).await? {
                (None, revision) if revision != expected => expected = revision,
                (None, _) => return Err(self.not_written(key, refused)),
                (Some(_), _) => {
                    return Err(Error::raised(
                        ErrorCode::KvKeyExists,
                        format!("key '{key}' has a value already; update() or put() replaces it"),
                    )
                    .with_detail("key", key)
                    .with_source(refused));
                }
            }
        }
    }

    /// Puts `value` under `key` if its revision is still `revision`, and returns the new one. Revision 0
    /// is that of a key that never had a value.
    ///
    /// # Errors
    ///
    /// `kv_wrong_revision` when somebody wrote the key meanwhile, and those of [`Kv`]. Cancel-safe.
    pub async fn update(
        &self,
        key: impl AsRef<str>,
        value: impl KvValue,
        revision: u64,
    ) -> Result<u64> {
        let key = key.as_ref();
        let value = self.checked(key, value)?;
        let written = self.write_if(key, value, revision).await?;
        written.map_err(|error| {
            if !error.is_wrong_revision() {
                return self.not_written(key, error);
            }
            Error::raised(
                ErrorCode::KvWrongRevision,
                format!(
                    "key '{key}' does not have revision {revision} any more: somebody wrote it \
                     meanwhile; read it again, or let modify() do so"
                ),
            )
            .with_detail("key", key)
            .with_detail("expected", revision)
            .with_source(error)
        })
    }

    async fn write_if(
        &self,
        key: &str,
        value: Bytes,
        revision: u64,
    ) -> Result<std::result::Result<u64, StoreError>> {
        let update = Change::Update(value, revision);
        self.bucket().write(key, update).await
    }

    /// Takes the value of `key` away. One that has none is marked as deleted all the same, which watches
    /// tell.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub async fn delete(&self, key: impl AsRef<str>) -> Result<()> {
        let key = key.as_ref();
        check_key(key)?;
        self.bucket().try_write(key, Change::Delete).await?;
        Ok(())
    }

    /// Takes the value of `key` away, and all that is remembered of earlier ones in a bucket that keeps
    /// a history.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub async fn purge(&self, key: impl AsRef<str>) -> Result<()> {
        let key = key.as_ref();
        check_key(key)?;
        self.bucket().try_write(key, Change::Purge).await?;
        Ok(())
    }

    /// The keys that match `pattern` and have a value, sorted.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub async fn keys(&self, pattern: impl AsRef<str>) -> Result<Vec<String>> {
        let entries = self.current(pattern.as_ref(), true).await?;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }

    /// The values whose keys match `pattern`, sorted by key.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Cancel-safe.
    pub async fn list(&self, pattern: impl AsRef<str>) -> Result<Vec<KvEntry>> {
        self.current(pattern.as_ref(), false).await
    }

    /// What happens to the keys that match `pattern`: first the values there are, then every change.
    /// See [`KvWatch`].
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
    ///         gone => println!("{} is gone", gone.key()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, pattern: impl AsRef<str>) -> KvWatch {
        KvWatch::new(self, pattern.as_ref())
    }

    async fn current(&self, pattern: &str, headers_only: bool) -> Result<Vec<KvEntry>> {
        check_pattern(pattern)?;
        let messages = latest::list(self.bucket(), filter(pattern), headers_only).await?;
        // Of a key that was written meanwhile, the last value counts.
        let mut entries = BTreeMap::new();
        for message in messages {
            match self.change(&message)? {
                KvChange::Put(entry) => drop(entries.insert(entry.key.clone(), entry)),
                KvChange::Deleted { key, .. } => drop(entries.remove(&key)),
            }
        }
        Ok(entries.into_values().collect())
    }

    /// What a message of the bucket says.
    fn change(&self, message: &Message) -> Result<KvChange> {
        let info = message
            .info()
            .map_err(|error| self.bucket().failed("read", error))?;
        let subject = message.subject.as_str();
        let key = subject
            .strip_prefix(&filter(""))
            .unwrap_or(subject)
            .to_owned();
        let header = |name| message.headers.as_ref()?.get(name);
        // A bucket with a time to live marks what it removed.
        let is_value = header(OPERATION).is_none_or(|operation| operation.as_str() == PUT)
            && header(MARKER).is_none();
        let revision = info.stream_sequence;
        Ok(if is_value {
            KvChange::Put(KvEntry {
                key,
                value: message.payload.clone(),
                revision,
                created: info.published,
            })
        } else {
            KvChange::Deleted { key, revision }
        })
    }

    /// The bytes of `value`, if they can be put under `key`.
    fn checked(&self, key: &str, value: impl KvValue) -> Result<Bytes> {
        check_key(key)?;
        let value = value.into_bytes()?;
        let limit = self.bucket.connection().client.max_payload();
        let size = value.len() + key.len() + HEADERS;
        if size > limit {
            return Err(too_large(&format!("the value of key '{key}'"), size, limit));
        }
        Ok(value)
    }

    fn not_written(&self, key: &str, error: StoreError) -> Error {
        if is_too_large(&error) {
            return Error::raised(
                ErrorCode::PayloadTooLarge,
                format!("the value of key '{key}' is larger than its bucket allows: {error}"),
            )
            .with_source(error);
        }
        self.bucket().failed("write", error)
    }
}

impl std::fmt::Debug for Kv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kv").finish_non_exhaustive()
    }
}

/// The subjects of the keys that match `pattern`.
fn filter(pattern: &str) -> String {
    subject::kv(CONTEXT, pattern)
}
