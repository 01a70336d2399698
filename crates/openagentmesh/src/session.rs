//! One process on the mesh: its connection, its directory of agents and its stores.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openagentmesh_protocol::bucket::{ARTIFACTS, CONTEXT};
use openagentmesh_protocol::{AgentName, Headers, InstanceId, RequestId, Verb};
use tokio::time::Instant;

use crate::catalog::{Contract, Directory};
use crate::error::{Error, Result};
use crate::liveness::{LiveConnections, Records};
use crate::store::{Bucket, KvBucket, ObjectBucket, SharedBucket};
use crate::telemetry::Interceptors;
use crate::transport::{Connection, ConnectionGuard};
use crate::util::retry_budget::RetryBudget;

/// The state that the handles, the client and the host of one process share.
pub(crate) struct Session {
    /// Keeps the connection open until the session, and every bucket that was handed out, is dropped.
    pub(crate) connection: Arc<ConnectionGuard>,
    /// The identity of this process on the mesh.
    pub(crate) instance_id: InstanceId,
    /// The catalog and the registry.
    pub(crate) directory: Arc<Directory>,
    /// The bucket of [`Kv`](crate::Kv).
    pub(crate) kv: SharedBucket<KvBucket>,
    /// The bucket of [`Workspace`](crate::Workspace).
    pub(crate) objects: SharedBucket<ObjectBucket>,
    /// The records of the processes that serve agents.
    pub(crate) records: Arc<Records>,
    /// The connections of all processes, as the servers report them.
    pub(crate) live_connections: Arc<LiveConnections>,
    /// The server's URL without a login.
    pub(crate) url: String,
    /// The reply timeout of calls and sends without their own; `None` selects the default of the verb.
    pub(crate) request_timeout: Option<Duration>,
    /// The budget of all retries of this process.
    pub(crate) retry_budget: RetryBudget,
    /// The interceptors of every request that this process sends.
    pub(crate) interceptors: Interceptors,
    /// The agents that answer requests in this process, in place of a mesh.
    pub(crate) answers: Option<Arc<dyn Answers>>,
}

impl Session {
    /// The session of a connection to the server at `url`, with default options.
    pub(crate) fn new(connection: Connection, instance_id: InstanceId, url: String) -> Self {
        let connection = ConnectionGuard::new(connection);
        Self {
            directory: Arc::new(Directory::new(&connection)),
            kv: SharedBucket::new(
                Bucket::new(Connection::clone(&connection), CONTEXT),
                &connection,
            ),
            objects: SharedBucket::new(
                Bucket::new(Connection::clone(&connection), ARTIFACTS),
                &connection,
            ),
            records: Arc::new(Records::new(&connection)),
            live_connections: Arc::new(LiveConnections::new(&connection)),
            connection,
            instance_id,
            url,
            request_timeout: None,
            retry_budget: RetryBudget::new(),
            interceptors: Interceptors::new(&[]),
            answers: None,
        }
    }
}

/// Agents that answer requests in this process, in place of a mesh.
pub(crate) trait Answers: Send + Sync {
    /// The contracts of the agents that could be registered, in the order of their names.
    fn contracts(&self) -> Vec<Contract>;

    /// The error for an agent that is not among them.
    fn not_found(&self, name: &AgentName) -> Error;

    /// The reply to a `call` or a `send`. The handler runs when the future is polled, and is dropped with it.
    ///
    /// # Errors
    ///
    /// At once: `not_found`, `invocation_mismatch`, and `invalid_input` when the agent is invalid. By the future:
    /// the error that a host would answer.
    fn reply(
        &self,
        session: &Arc<Session>,
        request: LocalRequest,
    ) -> Result<BoxFuture<'static, Result<Bytes>>>;

    /// The chunks of the reply to a `stream`, up to the first error. As [`reply`](Self::reply) otherwise.
    fn stream(
        &self,
        session: &Arc<Session>,
        request: LocalRequest,
    ) -> Result<BoxStream<'static, Result<Bytes>>>;
}

/// A request to an agent in this process.
pub(crate) struct LocalRequest {
    pub(crate) agent: AgentName,
    pub(crate) verb: Verb,
    pub(crate) id: RequestId,
    /// The headers of the request, including those of the protocol.
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    /// The time at which the caller stops waiting.
    pub(crate) deadline: Option<Instant>,
}
