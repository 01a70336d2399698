//! The buckets of the mesh.

use super::Client;
use crate::store::ensure_buckets;
use crate::util::operation::Operation;

impl Client {
    /// Creates the buckets of the mesh that are missing: the catalog, the registry, the instances, the
    /// settings of logs, the shared values and the shared files.
    ///
    /// A process that registers agents does so before the first one is listed. A program that starts a
    /// server calls it so that peers which only open buckets find them. An existing bucket keeps its
    /// configuration.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer within 10 s; `storage_error` when the server has
    /// no JetStream or refuses a bucket. Some buckets may exist then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some of the buckets created; a second call creates the rest.
    ///
    /// ```no_run
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = openagentmesh::AgentMesh::connect("nats://127.0.0.1:4222").await?;
    /// mesh.create_buckets().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_buckets(&self) -> Operation<'static, ()> {
        let client = self.clone();
        Operation::new(async move { ensure_buckets(&client.session().connection).await })
    }
}
