//! Paths below `~/.agentmesh`.

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
        // Servers run in another working directory, so a relative path would not resolve there.
        let home = std::path::absolute(&home).map_err(LocalError::io("resolve", &home))?;
        Ok(Self(home.join(".agentmesh")))
    }

    /// The directory of the installed server.
    pub(crate) fn binaries(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// The path of the installed server.
    pub(crate) fn installed_server(&self) -> PathBuf {
        self.binaries().join(SERVER_FILE_NAME)
    }

    /// The parent of the directories of servers that live as long as their owner.
    pub(crate) fn owned_servers(&self) -> PathBuf {
        self.0.join("run")
    }

    /// The directory of the memories of kept data.
    pub(crate) fn kept_data(&self) -> PathBuf {
        self.0.join("kept")
    }

    /// The parent of the directories of servers that outlive the process that started them.
    pub(crate) fn detached_servers(&self) -> PathBuf {
        self.0.join("mesh")
    }
}
