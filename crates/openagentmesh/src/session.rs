//! One process on the mesh: its connection, its directory of agents and its stores.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::InstanceId;

use crate::catalog::Directory;
use crate::store::{KvBucket, ObjectBucket, SharedBucket};
use crate::telemetry::Interceptors;
use crate::transport::ConnectionGuard;

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
    /// The server's URL without a login.
    pub(crate) url: String,
    /// The reply timeout of calls and sends without their own; `None` selects the default of the verb.
    pub(crate) request_timeout: Option<Duration>,
    /// The interceptors of every request that this process sends.
    pub(crate) interceptors: Interceptors,
}
