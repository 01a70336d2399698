//! Servers that outlive the process that started them.

mod builder;
mod loopback;
mod mesh;
mod running;
mod server;

use crate::LocalError;

pub use builder::DetachedServerBuilder;
pub use mesh::{RunningMesh, ServerLog};
pub use server::DetachedServer;

impl DetachedServer {
    /// Starts a server with default settings on port 4222. See [`DetachedServerBuilder::start`].
    ///
    /// # Errors
    ///
    /// Those of [`DetachedServerBuilder::start`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends the server and removes its directory.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let mesh = openagentmesh_local::DetachedServer::start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start() -> Result<Self, LocalError> {
        Self::builder().start().await
    }

    /// Settings for a new server, and for [`list`](Self::list) and
    /// [`find_by_url`](Self::find_by_url) in another home directory.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let mesh = DetachedServer::builder().port(0).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> DetachedServerBuilder {
        DetachedServerBuilder::default()
    }

    /// The running servers, oldest first. Removes the directories of servers that no longer run, after
    /// a crash or a restart of the machine.
    ///
    /// If containers share the home directory, a server of another container is listed if its port is
    /// reachable. Otherwise it is neither listed nor removed.
    ///
    /// # Errors
    ///
    /// [`LocalError::NoHome`] if the home directory is unknown; [`LocalError::Locked`] if another
    /// process starts or stops a server for more than 30 s; [`LocalError::Io`] if
    /// `~/.agentmesh/mesh` cannot be used; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// for mesh in openagentmesh_local::DetachedServer::list().await? {
    ///     println!("{} from {}", mesh.url(), mesh.started_in().display());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list() -> Result<Vec<Self>, LocalError> {
        Self::builder().list().await
    }

    /// The running server with `url` as URL for clients or WebSocket clients. `localhost`, `127.0.0.1`
    /// and `[::1]` are equivalent. A URL without a port means port 4222.
    ///
    /// # Errors
    ///
    /// Those of [`list`](Self::list).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// use openagentmesh_local::DetachedServer;
    ///
    /// if let Some(mesh) = DetachedServer::find_by_url("nats://localhost:4222").await? {
    ///     mesh.stop().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn find_by_url(url: &str) -> Result<Option<Self>, LocalError> {
        Self::builder().find_by_url(url).await
    }
}
