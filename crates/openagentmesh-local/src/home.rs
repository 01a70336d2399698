//! Where things are kept: `~/.agentmesh`.

use std::path::{Path, PathBuf};

use crate::LocalError;
use crate::platform::SERVER_FILE_NAME;

/// The `.agentmesh` directory of one home directory.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// The `.agentmesh` directory in `home`, or in the user's home directory without one.
    pub(crate) fn new(home: Option<&Path>) -> Result<Self, LocalError> {
        let home = match home {
            Some(home) => home.to_owned(),
            None => std::env::home_dir().ok_or(LocalError::NoHome)?,
        };
        if home.as_os_str().is_empty() {
            return Err(LocalError::NoHome);
        }
        // Servers run in a working directory of their own, so a relative path would mislead them.
        let home = std::path::absolute(&home).map_err(LocalError::io("find", &home))?;
        Ok(Self(home.join(".agentmesh")))
    }

    /// Where an installed server is kept.
    pub(crate) fn binaries(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// The server that [`crate::binary::install`] puts in place.
    pub(crate) fn installed_server(&self) -> PathBuf {
        self.binaries().join(SERVER_FILE_NAME)
    }

    /// One directory for each server that lives as long as its owner.
    pub(crate) fn owned_servers(&self) -> PathBuf {
        self.0.join("run")
    }

    /// One directory for each server that outlives the process that started it.
    pub(crate) fn detached_servers(&self) -> PathBuf {
        self.0.join("mesh")
    }
}
