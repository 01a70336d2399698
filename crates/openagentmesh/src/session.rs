//! One process on the mesh: its connection, its directory of agents and its stores.

use std::sync::Arc;

use openagentmesh_protocol::InstanceId;

use crate::catalog::Directory;
use crate::store::{KvBucket, ObjectBucket, SharedBucket};
use crate::telemetry::Interceptors;
use crate::transport::{ConnectionGuard, Template};

/// What calls need of a connection.
pub(crate) struct Session {
    pub(crate) connection: Arc<ConnectionGuard>,
    pub(crate) instance_id: InstanceId,
    /// Of requests whose answer is awaited; each has its own id and timeout.
    pub(crate) request_headers: Template,
    pub(crate) directory: Arc<Directory>,
    pub(crate) kv: SharedBucket<KvBucket>,
    pub(crate) objects: SharedBucket<ObjectBucket>,
    pub(crate) url: String,
    /// Around every request that this process sends.
    pub(crate) interceptors: Interceptors,
}
