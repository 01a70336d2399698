//! The state of JetStream and of the buckets of a mesh, as the server reports it. Nothing is opened or created.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use futures::future::join_all;
use openagentmesh_protocol::ErrorCode;
use openagentmesh_protocol::bucket::{ARTIFACTS, LEASES};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use super::ensure::KEY_VALUE_BUCKETS;
use super::error::StoreError;
use crate::error::{BoxError, Error, Result};
use crate::transport::{Action, Connection};

/// The limit of one answer. While a bucket has no leader, no server answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// The use of JetStream by the account of the mesh, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JetStreamStatus {
    /// The bytes of file storage in use.
    pub storage: u64,
    /// The limit of file storage in bytes; `None` without one.
    pub max_storage: Option<u64>,
    /// The bytes of memory storage in use.
    pub memory: u64,
    /// The limit of memory storage in bytes; `None` without one.
    pub max_memory: Option<u64>,
    /// The number of streams of the account. Each bucket is one.
    pub streams: u64,
    /// The number of consumers of the account.
    pub consumers: u64,
}

/// A bucket of the mesh.
#[derive(Debug)]
#[non_exhaustive]
pub struct BucketStatus {
    /// The name of the bucket.
    pub bucket: &'static str,
    /// The stored bucket; `None` if it does not exist.
    ///
    /// The error: `connection_denied` when the server does not permit the question, `connection_failed` when the bucket
    /// has no leader or the server does not answer, `storage_error` for another answer of JetStream.
    pub stored: Result<Option<StoredBucket>>,
    /// The number of replicas of a new bucket, as [`MeshBuilder::replicas`](crate::MeshBuilder::replicas), `OAM_REPLICAS`
    /// or the cluster says.
    pub wanted_replicas: usize,
}

/// The content and the replicas of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredBucket {
    /// The number of stored messages. A key-value bucket has one for each key, also for a deleted one; `mesh-artifacts`
    /// has one for each file and one for each chunk.
    pub messages: u64,
    /// The bytes of the messages.
    pub bytes: u64,
    /// The number of servers that hold the bucket.
    pub replicas: usize,
    /// The server that leads the bucket, by its name.
    pub leader: Option<String>,
    /// The other servers that hold the bucket.
    pub peers: Vec<PeerStatus>,
    /// The time of the report, by the clock of the server.
    pub(crate) at: Option<OffsetDateTime>,
}

impl StoredBucket {
    /// The peers that do not have the current content.
    pub fn lagging_peers(&self) -> impl Iterator<Item = &PeerStatus> {
        self.peers
            .iter()
            .filter(|peer| !peer.is_current || peer.is_offline)
    }
}

/// A server that holds a replica of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The name of the server.
    pub name: String,
    /// Whether the replica has the current content.
    pub is_current: bool,
    /// Whether the server is not reachable for the leader.
    pub is_offline: bool,
    /// The number of operations that the replica is behind the leader.
    pub lag: u64,
}

#[derive(Deserialize)]
struct AccountReport {
    memory: u64,
    storage: u64,
    streams: u64,
    consumers: u64,
    limits: Limits,
    #[serde(default)]
    tiers: BTreeMap<String, Tier>,
}

#[derive(Deserialize)]
struct Tier {
    limits: Limits,
}

/// A negative limit is none.
#[derive(Deserialize)]
struct Limits {
    max_memory: i64,
    max_storage: i64,
}

#[derive(Deserialize)]
struct StreamReport {
    config: StreamConfig,
    state: StreamState,
    cluster: Option<Cluster>,
    ts: Option<String>,
}

#[derive(Deserialize)]
struct StreamConfig {
    num_replicas: usize,
}

#[derive(Deserialize)]
struct StreamState {
    messages: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Peer>,
}

#[derive(Deserialize)]
struct Peer {
    name: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    lag: u64,
}

/// The use of JetStream by the account of `connection`.
///
/// # Errors
///
/// `connection_denied` when the server does not permit the question; `connection_failed` when the server does not answer;
/// `storage_error` when the server or the account has no JetStream.
pub(crate) async fn jetstream_status(connection: &Connection) -> Result<JetStreamStatus> {
    let report: AccountReport = match ask(connection, "INFO").await {
        Ok(report) => report,
        Err(Failure::Denied(error)) => return Err(error),
        Err(Failure::Unanswered) => {
            let message = format!(
                "JetStream unavailable: no answer within {ANSWER_TIMEOUT:?}{}",
                connection.lost()
            );
            return Err(Error::raised(ErrorCode::ConnectionFailed, message));
        }
        Err(Failure::Failed(error))
            if error.is_without_jetstream() || error.is_jetstream_disabled() =>
        {
            return Err(Error::raised(
                ErrorCode::StorageError,
                "JetStream unavailable: the server or the account runs without it; start the server with `oam mesh up` \
                 or `nats-server -js`, or enable JetStream for the account",
            )
            .with_source(error));
        }
        Err(Failure::Failed(error)) => {
            let message = format!("JetStream unavailable: {error}");
            return Err(Error::raised(error.code(), message).with_source(error));
        }
    };
    // An account with a tier for each number of replicas has its limits there.
    let mut limits: Vec<Limits> = report.tiers.into_values().map(|tier| tier.limits).collect();
    if limits.is_empty() {
        limits.push(report.limits);
    }
    Ok(JetStreamStatus {
        storage: report.storage,
        max_storage: sum(limits.iter().map(|limits| limits.max_storage)),
        memory: report.memory,
        max_memory: sum(limits.iter().map(|limits| limits.max_memory)),
        streams: report.streams,
        consumers: report.consumers,
    })
}

/// The sum of limits; `None` if one of them is none.
fn sum(mut limits: impl Iterator<Item = i64>) -> Option<u64> {
    limits.try_fold(0_u64, |sum, limit| {
        Some(sum.saturating_add(u64::try_from(limit).ok()?))
    })
}

/// The six buckets of the mesh and that of the leases.
pub(crate) async fn bucket_status(connection: &Connection) -> Vec<BucketStatus> {
    let key_value = KEY_VALUE_BUCKETS.iter().chain([&LEASES]);
    let streams = key_value
        .map(|name| (*name, ["KV_", name].concat()))
        .chain([(ARTIFACTS, ["OBJ_", ARTIFACTS].concat())]);
    let reports = streams.map(|(bucket, stream)| async move {
        BucketStatus {
            bucket,
            stored: stored(connection, bucket, &stream).await,
            wanted_replicas: connection.wanted_replicas(),
        }
    });
    join_all(reports).await
}

async fn stored(
    connection: &Connection,
    bucket: &str,
    stream: &str,
) -> Result<Option<StoredBucket>> {
    let report: StreamReport = match ask(connection, &format!("STREAM.INFO.{stream}")).await {
        Ok(report) => report,
        Err(Failure::Denied(error)) => return Err(error),
        Err(Failure::Failed(error)) if error.is_bucket_missing() => return Ok(None),
        Err(Failure::Failed(error)) => return Err(error.into_error("inspect", bucket)),
        Err(Failure::Unanswered) => {
            let cause = match connection.is_clustered() && connection.is_up() {
                true => "no leader: none of the servers that hold it has answered",
                false => "no answer from the server",
            };
            let message = format!(
                "cannot inspect bucket '{bucket}' of this mesh: {cause} within {ANSWER_TIMEOUT:?}{}",
                connection.lost()
            );
            return Err(Error::raised(ErrorCode::ConnectionFailed, message));
        }
    };
    let (leader, peers) = match report.cluster {
        Some(cluster) => (cluster.leader, cluster.replicas),
        None => (None, Vec::new()),
    };
    let peers = peers.into_iter().map(|peer| PeerStatus {
        name: peer.name,
        is_current: peer.current,
        is_offline: peer.offline,
        lag: peer.lag,
    });
    Ok(Some(StoredBucket {
        messages: report.state.messages,
        bytes: report.state.bytes,
        replicas: report.config.num_replicas,
        leader: leader.filter(|leader| !leader.is_empty()),
        peers: peers.collect(),
        at: report
            .ts
            .and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok()),
    }))
}

/// The failure of a question to JetStream.
enum Failure {
    Denied(Error),
    Unanswered,
    Failed(StoreError),
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        Self::Failed(StoreError::new(error))
    }
}

/// An answer of JetStream.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Failed { error: jetstream::Error },
    Done(T),
}

/// Asks JetStream one question once.
async fn ask<T: DeserializeOwned>(connection: &Connection, question: &str) -> Result<T, Failure> {
    let subject = format!("$JS.API.{question}");
    let mut denied = connection
        .denials
        .watch(move |denial| denial.is_inbox() || denial.denies(Action::Publish, &subject));
    if let Some(denial) = connection.denials.inbox() {
        return Err(Failure::Denied(denial.to_error()));
    }
    let asking = async {
        connection.up().await.map_err(BoxError::from)?;
        let mut jetstream = connection.jetstream();
        jetstream.set_timeout(ANSWER_TIMEOUT * 2);
        let answer: Answer<T> = jetstream
            .request(question.to_owned(), &serde_json::json!({}))
            .await
            .map_err(BoxError::from)?;
        match answer {
            Answer::Done(answer) => Ok(answer),
            Answer::Failed { error } => Err(Failure::from(BoxError::from(error))),
        }
    };
    tokio::select! {
        biased;
        error = denied.denied() => Err(Failure::Denied(error)),
        answer = timeout(ANSWER_TIMEOUT, asking) => answer.unwrap_or(Err(Failure::Unanswered)),
    }
}
