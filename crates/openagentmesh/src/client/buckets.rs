//! The buckets of the mesh: created, and the catalog repaired.

use super::Client;
use crate::store::{BucketReplicas, ensure_buckets, replicate_buckets};
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

    /// Creates the buckets of the mesh that are missing, and gives every bucket, also an existing one, `replicas`
    /// replicas. `None` selects the number for new buckets: that of [`MeshBuilder::replicas`](crate::MeshBuilder::replicas),
    /// of `OAM_REPLICAS`, or three on a server of a cluster. Returns the replicas of each bucket.
    ///
    /// A cluster with fewer servers holds as many replicas as it can, and a warning is logged. The server copies the
    /// content of a bucket to its new replicas afterwards.
    ///
    /// # Errors
    ///
    /// `configuration` when `replicas` is not from 1 to 5; `connection_failed` when the server does not answer within
    /// 10 s, `connection_denied` when it does not permit this user to change buckets; `storage_error` when the server
    /// has no JetStream or refuses the change. Some buckets may be changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave some of the buckets unchanged; a second call changes the rest.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// for bucket in mesh.replicate_buckets(None).await? {
    ///     println!("{}: {} replicas", bucket.bucket, bucket.replicas);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn replicate_buckets(
        &self,
        replicas: Option<usize>,
    ) -> Operation<'static, Vec<BucketReplicas>> {
        let client = self.clone();
        Operation::new(
            async move { replicate_buckets(&client.session().connection, replicas).await },
        )
    }

    /// Whether the server that this process is connected to is one of a cluster.
    ///
    /// ```no_run
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = openagentmesh::AgentMesh::connect("nats://127.0.0.1:4222").await?;
    /// println!("clustered: {}", mesh.is_clustered());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.session().connection.is_clustered()
    }

    /// Repairs the stored catalog if it is malformed: the last valid catalog that this process has read takes its
    /// place, or an empty one, to which each host of this SDK adds its agents within seconds. A valid catalog whose
    /// headers end the connections of its readers is written again without them. Any other catalog is left as it is.
    /// Returns whether the catalog was repaired.
    ///
    /// Hosts repair the catalog on their own; the method is for meshes without one.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `connection_denied` when the server does not permit this
    /// user to read or write the catalog.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the catalog may be repaired or not.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// if mesh.repair_catalog().await? {
    ///     println!("the catalog was repaired");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn repair_catalog(&self) -> Operation<'static, bool> {
        let client = self.clone();
        Operation::new(async move { client.session().directory.repair().await })
    }
}
