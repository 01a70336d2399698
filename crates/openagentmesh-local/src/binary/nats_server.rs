//! A usable `nats-server` program.

use std::fmt;
use std::path::{Path, PathBuf};

use super::probe::{Version, probe};
use crate::LocalError;

/// A `nats-server` program of version 2.10 or later, as verified by running it once.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::NatsServerSearch;
///
/// let server = NatsServerSearch::new().find_or_install().await?;
/// println!("{} is version {}", server.path().display(), server.version());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsServer {
    pub(super) path: PathBuf,
    pub(super) version: Version,
}

impl NatsServer {
    /// The program at `path`.
    ///
    /// # Errors
    ///
    /// [`LocalError::ServerUnusable`] if the file does not exist, does not run, does not print its
    /// version within 10 s, or is older than 2.10; [`LocalError::Io`] if a relative path cannot be
    /// resolved.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future kills the program if it is running.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let server = openagentmesh_local::NatsServer::at("/usr/local/bin/nats-server").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn at(path: impl AsRef<Path>) -> Result<Self, LocalError> {
        let path = path.as_ref();
        let path = std::path::absolute(path).map_err(LocalError::io("resolve", path))?;
        match probe(&path).await {
            Ok(version) => Ok(Self { path, version }),
            Err(reason) => Err(LocalError::ServerUnusable { path, reason }),
        }
    }

    /// The absolute path of the program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version, such as `2.15.1`.
    pub fn version(&self) -> impl fmt::Display + use<> {
        self.version
    }
}
