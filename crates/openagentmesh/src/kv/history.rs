//! The kept writes of a key.

use bytes::Bytes;
use time::OffsetDateTime;

use super::entry::subjects;
use super::key::check_key;
use super::store::Kv;
use crate::store::{Find, Meaning};
use crate::util::operation::Operation;

/// A write of a key: a value, or a deletion. Returned by [`Kv::history`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KvRevision {
    /// The key.
    pub key: String,
    /// The number of the write: larger than those of all earlier writes, of any key.
    pub revision: u64,
    /// The time of the write, in UTC.
    pub created: OffsetDateTime,
    /// The stored bytes; `None` for a deletion.
    pub value: Option<Bytes>,
}

impl Kv {
    /// The writes of `key` that the bucket has kept, oldest first. Empty for a key without any write.
    ///
    /// A mesh keeps the last write of each key. Earlier ones are kept if the operator has raised the history of the
    /// bucket `mesh-context`. Takes one request for each write.
    ///
    /// # Errors
    ///
    /// Those of [`Kv`]. Malformed messages are skipped with a warning in the log. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// for write in mesh.kv().history("plan").await? {
    ///     println!("{} at {}: {:?}", write.revision, write.created, write.value);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn history(&self, key: impl AsRef<str>) -> Operation<'static, Vec<KvRevision>> {
        self.operation(key, |kv, key| async move {
            check_key(&key)?;
            let filter = subjects(&key);
            let mut writes = Vec::new();
            let mut from = 1;
            loop {
                let filter = filter.as_str();
                let find = Find::Next { filter, from };
                let Some(message) = kv.bucket().message("read", find).await? else {
                    return Ok(writes);
                };
                from = message.sequence + 1;
                let value = match message.meaning {
                    Meaning::Malformed(reason) => {
                        let revision = message.sequence;
                        tracing::warn!(%key, revision, reason, "a malformed message is skipped");
                        continue;
                    }
                    Meaning::Deletion => None,
                    Meaning::Value => Some(message.payload),
                };
                writes.push(KvRevision {
                    key: key.clone(),
                    revision: message.sequence,
                    created: message.published,
                    value,
                });
            }
        })
    }
}
