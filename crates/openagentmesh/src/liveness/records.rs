//! The instance records in their bucket.

use std::sync::Arc;

use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use openagentmesh_monitor as monitor;
use openagentmesh_protocol::bucket::INSTANCES;
use openagentmesh_protocol::{ErrorCode, InstanceId, InstanceRecord, subject};

use super::instance::Instance;
use crate::error::{Error, Result};
use crate::store::{Access, KvBucket, Meaning, latest};
use crate::transport::Connection;

/// The instance records of the mesh.
pub(crate) struct Records {
    bucket: Arc<KvBucket>,
}

impl Records {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self {
            bucket: Arc::new(KvBucket::new(connection.clone(), INSTANCES)),
        }
    }

    /// All instances, in the order of their ids.
    ///
    /// # Errors
    ///
    /// Those of [`all`](Self::all).
    pub(crate) async fn instances(&self) -> Result<Vec<Instance>> {
        let mut instances: Vec<Instance> = self
            .all()
            .await?
            .into_iter()
            .map(|found| Instance::new(found.id, found.record))
            .collect();
        instances.sort_unstable_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        Ok(instances)
    }

    /// All records. Values that are not records are skipped.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be read.
    pub(super) async fn all(&self) -> Result<Vec<monitor::Instance>> {
        let prefix = subject::kv(INSTANCES, "");
        let listed = latest::list(&self.bucket, subject::kv(INSTANCES, ">"), false).await?;
        let mut found: Vec<monitor::Instance> = Vec::with_capacity(listed.len());
        for message in listed {
            let id = message.subject.strip_prefix(&prefix);
            let Some(Ok(id)) = id.map(InstanceId::parse) else {
                continue;
            };
            // A record that was written during the list appears twice.
            found.retain(|earlier| earlier.id != id);
            if message.meaning == Meaning::Value
                && let Some(record) = parse(&id, &message.payload)
            {
                found.push(monitor::Instance {
                    id,
                    record,
                    revision: message.sequence,
                });
            }
        }
        Ok(found)
    }

    /// The record of instance `id`.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be read.
    pub(super) async fn one(&self, id: &InstanceId) -> Result<Option<monitor::Instance>> {
        let stored = self.bucket.read(id.as_str()).await?;
        Ok(stored.and_then(|stored| {
            Some(monitor::Instance {
                id: id.clone(),
                record: parse(id, &stored.value?)?,
                revision: stored.revision,
            })
        }))
    }

    /// Writes the record of instance `id`, whatever the key has.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be written.
    pub(super) async fn put(&self, id: &InstanceId, record: &InstanceRecord) -> Result<()> {
        let written = self.bucket.put(id.as_str(), json(record)?).await?;
        written
            .map(drop)
            .map_err(|error| error.into_error("write", INSTANCES))
    }

    /// Replaces the record of instance `id` if it has `revision`. Returns the new revision.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be written.
    pub(super) async fn update(
        &self,
        id: &InstanceId,
        record: &InstanceRecord,
        revision: u64,
    ) -> Result<Option<u64>> {
        let updated = self.bucket.update(id.as_str(), json(record)?, revision);
        match updated.await? {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.is_wrong_revision() => Ok(None),
            Err(error) => Err(error.into_error("write", INSTANCES)),
        }
    }

    /// Removes the record of instance `id` without a deletion marker, if `revision` is its revision or none is given.
    /// Returns whether there was one.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be written.
    pub(super) async fn remove(&self, id: &InstanceId, revision: Option<u64>) -> Result<bool> {
        remove(&self.bucket, id.as_str(), revision).await
    }
}

/// Removes `key` from `bucket` without a deletion marker, if `revision` is its revision or none is given. A later write
/// has a higher sequence number, and stays. Returns whether there was a value.
pub(super) async fn remove(bucket: &KvBucket, key: &str, revision: Option<u64>) -> Result<bool> {
    let filter = subject::kv(bucket.name(), key);
    let purge = |store: Arc<Store>| {
        let filter = filter.clone();
        async move {
            let purge = store.stream.purge().filter(filter);
            match revision {
                Some(revision) => purge.sequence(revision + 1).await,
                None => purge.await,
            }
        }
    };
    let purged = bucket.try_with("write", Access::Purge, purge).await?;
    Ok(purged.purged > 0)
}

fn parse(id: &InstanceId, json: &[u8]) -> Option<InstanceRecord> {
    match serde_json::from_slice(json) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::debug!(instance = %id, %error, "a malformed instance record is skipped");
            None
        }
    }
}

fn json(record: &InstanceRecord) -> Result<Bytes> {
    match serde_json::to_vec(record) {
        Ok(json) => Ok(json.into()),
        Err(error) => Err(Error::raised(
            ErrorCode::InvalidInput,
            format!("cannot write an instance record as JSON: {error}"),
        )
        .with_source(error)),
    }
}
