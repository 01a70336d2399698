//! Reading the contract of one agent.

use openagentmesh_protocol::AgentName;

use super::handle::Client;
use super::local_catalog;
use crate::catalog::Contract;
use crate::util::operation::Operation;

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
    pub fn contract(&self, name: impl AsRef<str>) -> Operation<'static, Contract> {
        let (client, name) = (self.clone(), AgentName::new(name.as_ref()));
        Operation::new(async move {
            let name = name?;
            match local_catalog::contract(&client, &name) {
                Some(contract) => contract,
                None => client.session().directory.contract(&name).await,
            }
        })
    }
}
