//! The mesh as the monitor sees it.

use std::fmt;

use openagentmesh_protocol::{AgentName, DeathNotice, InstanceId, InstanceNotice, InstanceRecord};

use crate::connections::Connections;
use crate::instance::Instance;

/// The catalog at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The entries with a valid name.
    pub agents: Vec<Listed>,
    /// The revision, for a guarded removal.
    pub revision: u64,
}

/// An entry of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The agent's name.
    pub name: AgentName,
    /// Whether the agent takes requests, and its hosts therefore subscribe to its subject.
    pub invocable: bool,
}

/// The lease of the active monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The process whose monitor is active.
    pub holder: InstanceId,
    /// The revision of the lease.
    pub revision: u64,
}

/// A notice to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An instance is gone.
    InstanceDown(InstanceNotice),
    /// The last instance of an agent is gone.
    Death(DeathNotice),
}

/// The operations of the mesh that a monitor needs.
///
/// A write that is guarded by a revision returns `false`, or `None`, when the revision is not the current one, and
/// changes nothing then.
pub trait Mesh: Send + Sync {
    /// The failure of an operation. The monitor logs it and tries again later.
    type Error: fmt::Display + Send;

    /// All instance records that can be read.
    ///
    /// # Errors
    ///
    /// If the records cannot be read, or may be outdated.
    fn instances(&self) -> impl Future<Output = Result<Vec<Instance>, Self::Error>> + Send;

    /// The current record of instance `id`, read from the server.
    ///
    /// # Errors
    ///
    /// If the record cannot be read.
    fn instance(
        &self,
        id: &InstanceId,
    ) -> impl Future<Output = Result<Option<Instance>, Self::Error>> + Send;

    /// The current catalog, read from the server.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be read.
    fn listing(&self) -> impl Future<Output = Result<Listing, Self::Error>> + Send;

    /// The live connections of the mesh's account: all, or only the one with `client_id` at each server.
    ///
    /// # Errors
    ///
    /// If no server answers, e.g. without permission.
    fn connections(
        &self,
        client_id: Option<u64>,
    ) -> impl Future<Output = Result<Connections, Self::Error>> + Send;

    /// The live connections that subscribe to the requests of `agent`. A subscription with a wildcard does not count.
    ///
    /// # Errors
    ///
    /// If no server answers.
    fn subscribers(
        &self,
        agent: &AgentName,
    ) -> impl Future<Output = Result<Connections, Self::Error>> + Send;

    /// Replaces the record of instance `id` if it has `revision`. Returns the new revision.
    ///
    /// # Errors
    ///
    /// If the record cannot be written.
    fn write_instance(
        &self,
        id: &InstanceId,
        record: &InstanceRecord,
        revision: u64,
    ) -> impl Future<Output = Result<Option<u64>, Self::Error>> + Send;

    /// Removes the record of instance `id`, without a trace, if it has `revision`.
    ///
    /// # Errors
    ///
    /// If the record cannot be removed.
    fn remove_instance(
        &self,
        id: &InstanceId,
        revision: u64,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Removes the catalog entries of `agents` if the catalog has `revision`, and then their contracts.
    ///
    /// # Errors
    ///
    /// If the catalog cannot be written.
    fn remove_agents(
        &self,
        agents: &[AgentName],
        revision: u64,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Publishes a notice.
    ///
    /// # Errors
    ///
    /// If the notice cannot be published.
    fn announce(&self, notice: &Notice) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The lease of the active monitor; `None` if no process holds it.
    ///
    /// # Errors
    ///
    /// If the lease cannot be read.
    fn lease(&self) -> impl Future<Output = Result<Option<Held>, Self::Error>> + Send;

    /// Writes the lease for `holder` if it has `revision`, 0 if there is none. Returns the new revision.
    ///
    /// # Errors
    ///
    /// If the lease cannot be written.
    fn write_lease(
        &self,
        holder: &InstanceId,
        revision: u64,
    ) -> impl Future<Output = Result<Option<u64>, Self::Error>> + Send;

    /// Removes the lease if it has `revision`.
    ///
    /// # Errors
    ///
    /// If the lease cannot be removed.
    fn remove_lease(&self, revision: u64)
    -> impl Future<Output = Result<bool, Self::Error>> + Send;
}
