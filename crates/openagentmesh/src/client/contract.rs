//! Reading the contract of one agent.

use openagentmesh_protocol::AgentName;

use super::handle::Client;
use crate::catalog::Contract;
use crate::error::Result;

impl Client {
    /// The contract of agent `name`, from the registry: its schemas and everything else that a caller needs.
    ///
    /// # Errors
    ///
    /// `not_found` when no such agent is registered, `invalid_input` when `name` is an invalid agent name,
    /// `connection_failed` when the registry cannot be read, `storage_error` when the stored document is malformed or
    /// that of another agent.
    /// Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let contract = mesh.contract("echo").await?;
    /// println!("{:?}", contract.input_schema);
    /// contract.validate("hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn contract(&self, name: impl AsRef<str>) -> Result<Contract> {
        let name = AgentName::new(name.as_ref())?;
        self.session().directory.contract(&name).await
    }
}
