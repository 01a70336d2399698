//! The client.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::InstanceId;
use tokio::time::Instant;

use super::deadline::Deadline;
use crate::kv::Kv;
use crate::session::Session;
use crate::transport::{ConnectionState, ConnectionStates};
use crate::workspace::Workspace;

/// The calling side of a mesh: finds agents, sends requests to them, subscribes to events and publishes them.
///
/// An [`AgentMesh`](crate::AgentMesh) is a client that also serves agents. A handler has a client in its
/// [`Context`](crate::Context); the deadline of the request that it serves bounds the requests of that
/// client. Cloning a client is cheap. A client does not keep agents served.
#[derive(Clone)]
pub struct Client {
    session: Arc<Session>,
    deadline: Option<Instant>,
}

impl Client {
    pub(crate) fn new(session: Arc<Session>, deadline: Option<Instant>) -> Self {
        Self { session, deadline }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The deadline of the request that this client's handler serves. All requests of the client end by then.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The deadline of an operation that may take `timeout`, bounded by the client's own deadline.
    pub(super) fn deadline_after(&self, timeout: Option<Duration>) -> Option<Deadline> {
        match timeout {
            Some(timeout) => Some(self.deadline_within(timeout)),
            None => self.deadline.map(Deadline::inherited),
        }
    }

    /// As [`Client::deadline_after`], for an operation that always has a timeout.
    pub(super) fn deadline_within(&self, timeout: Duration) -> Deadline {
        let own = Deadline::after(timeout);
        let inherited = self.deadline.map(Deadline::inherited);
        inherited.map_or(own, |inherited| own.min(inherited))
    }

    /// The key-value store that all processes of the mesh share. See [`Kv`].
    #[must_use]
    pub fn kv(&self) -> Kv {
        Kv::new(&self.session.kv)
    }

    /// The files that all processes of the mesh share. See [`Workspace`].
    #[must_use]
    pub fn workspace(&self) -> Workspace {
        Workspace::new(&self.session.objects)
    }

    /// The URL of the server, without a password: safe to log. `detached` in a detached
    /// [`Context`](crate::Context).
    #[must_use]
    pub fn url(&self) -> &str {
        &self.session.url
    }

    /// The state of the connection: for a readiness probe, for example.
    #[must_use]
    pub fn status(&self) -> ConnectionState {
        self.session.connection.monitor().state()
    }

    /// The time since which the connection is lost and dialed again; `None` while it is connected.
    #[must_use]
    pub fn connection_lost_for(&self) -> Option<Duration> {
        self.session.connection.monitor().lost_for()
    }

    /// The state of the connection, and its changes.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) {
    /// use futures::StreamExt;
    ///
    /// let mut states = mesh.status_changes();
    /// while let Some(state) = states.next().await {
    ///     println!("the connection is {state}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn status_changes(&self) -> ConnectionStates {
        self.session.connection.monitor().states()
    }

    /// The identity of this process on the mesh.
    #[must_use]
    pub fn instance_id(&self) -> &InstanceId {
        &self.session.instance_id
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("instance_id", self.instance_id())
            .finish_non_exhaustive()
    }
}
