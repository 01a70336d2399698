//! The instance records in their bucket.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use openagentmesh_monitor as monitor;
use openagentmesh_protocol::bucket::INSTANCES;
use openagentmesh_protocol::{
    AgentName, ErrorCode, InstanceId, InstanceRecord, InstanceState, subject,
};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::instance::Instance;
use crate::error::{Error, Result};
use crate::store::{
    Access, KvBucket, Meaning, Mirror, StoreError, StoredMessage, find_last, latest,
};
use crate::transport::{Action, Connection};

/// The subject of a read of one record.
pub(crate) const READ_ONE: &str = "$JS.API.STREAM.MSG.GET.KV_mesh-instances";
/// The limit of a read of one record.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The instance records of the mesh.
pub(crate) struct Records {
    bucket: Arc<KvBucket>,
    connection: Connection,
}

impl Records {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self {
            bucket: Arc::new(KvBucket::new(connection.clone(), INSTANCES)),
            connection: connection.clone(),
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
    pub(crate) async fn all(&self) -> Result<Vec<monitor::Instance>> {
        let found = self.dated().await?.into_iter();
        Ok(found.map(|(instance, _)| instance).collect())
    }

    /// All records, each with the time of its write by the clock of the server.
    ///
    /// # Errors
    ///
    /// Those of [`all`](Self::all).
    pub(super) async fn dated(&self) -> Result<Vec<(monitor::Instance, OffsetDateTime)>> {
        let prefix = subject::kv(INSTANCES, "");
        let listed = latest::list(&self.bucket, subject::kv(INSTANCES, ">"), false).await?;
        // A record that was written during the list appears twice.
        let mut found = HashMap::with_capacity(listed.len());
        for message in listed {
            let id = message.subject.strip_prefix(&prefix);
            let Some(Ok(id)) = id.map(InstanceId::parse) else {
                continue;
            };
            let value = (message.meaning == Meaning::Value).then_some(&message.payload);
            match value.and_then(|json| parse(&id, json)) {
                Some(record) => found.insert(id, (record, message.sequence, message.published)),
                None => found.remove(&id),
            };
        }
        let found = found.into_iter();
        Ok(found
            .map(|(id, (record, revision, published))| {
                let instance = monitor::Instance {
                    id,
                    record,
                    revision,
                };
                (instance, published)
            })
            .collect())
    }

    /// The agents of each instance, followed.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be followed.
    pub(super) async fn served(&self) -> Result<Mirror<BTreeSet<AgentName>>> {
        Mirror::open(&self.bucket, |id, json| {
            let record = parse(&InstanceId::parse(id).ok()?, json)?;
            Some(match record.state {
                Some(InstanceState::Dead) => BTreeSet::new(),
                _ => record.agents.into_iter().collect(),
            })
        })
        .await
    }

    /// The record of instance `id`. One request, which needs no other permission: the bucket is neither opened nor
    /// created.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the server does not permit the request; when the bucket does not exist, or the server
    /// does not answer in time.
    pub(crate) async fn one(&self, id: &InstanceId) -> Result<Option<monitor::Instance>> {
        let found = read_last(&self.connection, INSTANCES, READ_ONE, id.as_str()).await?;
        let value = found.filter(|message| message.meaning == Meaning::Value);
        Ok(value.and_then(|message| {
            Some(monitor::Instance {
                id: id.clone(),
                record: parse(id, &message.payload)?,
                revision: message.sequence,
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

/// The last write of `key` in `bucket`, whose subject for reads is `subject`. The bucket is neither opened nor created.
///
/// # Errors
///
/// `connection_denied` when the server does not permit the request; when the bucket does not exist, or the server does
/// not answer in time.
pub(super) async fn read_last(
    connection: &Connection,
    bucket: &str,
    subject: &'static str,
    key: &str,
) -> Result<Option<StoredMessage>> {
    let mut denied = connection
        .denials
        .watch(move |denial| denial.denies(Action::Publish, subject));
    let jetstream = connection.jetstream();
    let read = find_last(&jetstream, bucket, key);
    let found = tokio::select! {
        biased;
        error = denied.denied() => return Err(error),
        found = timeout(READ_TIMEOUT, read) => found,
    };
    found
        .unwrap_or_else(|late| Err(late.into()))
        .map_err(|error| StoreError::new(error).into_error("read", bucket))
}

/// Removes `key` from `bucket` without a deletion marker, if `revision` is its revision or none is given. A later write
/// has a higher sequence number, and stays. Returns whether there was a value. A user who may not purge leaves a marker.
pub(super) async fn remove(bucket: &KvBucket, key: &str, revision: Option<u64>) -> Result<bool> {
    const PURGE: &str = "STREAM.PURGE";
    if !bucket.is_request_denied(PURGE) {
        match purge(bucket, key, revision).await {
            Err(error) if bucket.is_request_denied(PURGE) => {
                tracing::debug!(%error, bucket = bucket.name(), "a key is marked as deleted");
            }
            purged => return purged,
        }
    }
    match bucket.expire(key, revision).await? {
        Ok(()) => Ok(true),
        Err(error) if error.is_wrong_revision() => Ok(false),
        Err(error) => Err(error.into_error("write", bucket.name())),
    }
}

async fn purge(bucket: &KvBucket, key: &str, revision: Option<u64>) -> Result<bool> {
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
