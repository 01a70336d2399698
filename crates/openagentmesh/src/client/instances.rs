//! `instances`: the processes that serve agents.

use super::handle::Client;
use crate::liveness::Instance;
use crate::util::operation::Operation;

impl Client {
    /// Lists the processes that serve agents, in the order of their ids, read from the server.
    ///
    /// A process is listed from its first registration until it leaves, or until a monitor has found it dead. Processes
    /// of SDKs that write no instance record are not listed.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `connection_denied` when the server does not permit the
    /// read, `storage_error` when the records cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future has no effect on the mesh.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// for instance in mesh.instances().await? {
    ///     println!("{}: {} agents since {:?}", instance.id, instance.agents.len(), instance.started_at);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn instances(&self) -> Operation<'static, Vec<Instance>> {
        let session = self.session().clone();
        Operation::new(async move { session.records.instances().await })
    }
}
