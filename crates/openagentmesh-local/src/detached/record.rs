//! The record of a detached server, kept in that server's directory.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::LocalError;
use crate::background::Cancellation;
use crate::directory::{FileLock, private_file};
use crate::greeting::greets;
use crate::launch::{Launched, port_of};

/// Maximum wait for other processes that start, list or stop servers.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum time for a greeting. A running server sends its greeting at once.
const GREETING_TIMEOUT: Duration = Duration::from_secs(1);

/// The name of the file that holds a [`Record`].
const RECORD_FILE: &str = "mesh.json";

/// The content of [`RECORD_FILE`], written by the starting process as its last step and read by all
/// others. A directory without a record belongs to a start that was killed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) pid: u32,
    /// The namespace of `pid`. Absent from records of the first version.
    #[serde(default)]
    pid_namespace: Option<String>,
    pub(super) url: String,
    /// Absent without a WebSocket port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) websocket_url: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) websocket_origins: Vec<String>,
    pub(super) port: u16,
    pub(super) started_in: PathBuf,
    pub(super) system_user: String,
    pub(super) system_password: String,
    pub(super) version: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) started_at: OffsetDateTime,
    /// Absent from the record of a single server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<ClusterRecord>,
}

/// The cluster of a server: the same in the records of all of its nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ClusterRecord {
    pub(super) name: String,
    /// The URLs of all nodes, with commas between them.
    pub(super) url: String,
}

impl Record {
    pub(super) fn new(
        launched: &Launched,
        websocket_origins: Vec<String>,
        started_in: PathBuf,
        version: String,
        cluster: Option<ClusterRecord>,
    ) -> Self {
        Self {
            pid: launched.child.pid(),
            pid_namespace: pid_namespace(),
            url: launched.endpoints.url.clone(),
            websocket_url: launched.endpoints.websocket_url.clone(),
            websocket_origins,
            port: launched.endpoints.port,
            started_in,
            system_user: launched.system.user.clone(),
            system_password: launched.system.password.clone(),
            version,
            started_at: OffsetDateTime::now_utc(),
            cluster,
        }
    }

    /// Whether the server listens on `port`, for clients or for WebSocket clients.
    pub(super) fn uses(&self, port: u16) -> bool {
        let websocket_port = self.websocket_url.as_deref().and_then(port_of);
        self.port == port || websocket_port == Some(port)
    }

    /// Whether the server of this record, in `directory`, sends its greeting. Works across containers
    /// that share a network.
    pub(super) fn greets(&self, directory: &Path) -> bool {
        greets(self.port, directory, GREETING_TIMEOUT)
    }

    /// Whether the server was started in another PID namespace, such as a container. Its process is
    /// not visible here, even if it runs.
    pub(super) fn is_of_another_namespace(&self) -> bool {
        self.pid_namespace.is_some() && self.pid_namespace != pid_namespace()
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), LocalError> {
        let path = directory.join(RECORD_FILE);
        serde_json::to_vec_pretty(self)
            .map_err(io::Error::from)
            .and_then(|json| {
                private_file()
                    .create_new(true)
                    .open(&path)?
                    .write_all(&json)
            })
            .map_err(LocalError::io("write", &path))
    }

    /// The record in `directory`; `None` if missing or incomplete.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, LocalError> {
        let path = directory.join(RECORD_FILE);
        match std::fs::read(&path) {
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(LocalError::io("read", &path)(failure)),
        }
    }
}

/// The identity of this process's PID namespace. Two containers have different ones. Outside of Linux
/// the operating system's name serves, because containers on macOS share the home directory with a
/// Linux virtual machine.
fn pid_namespace() -> Option<String> {
    if cfg!(target_os = "linux") {
        let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(link.to_string_lossy().into_owned())
    } else {
        Some(std::env::consts::OS.to_owned())
    }
}

/// Takes the lock for starting, listing and stopping detached servers.
pub(super) fn lock(parent: &Path, cancellation: &Cancellation) -> Result<FileLock, LocalError> {
    FileLock::acquire(&parent.join(".lock"), LOCK_TIMEOUT, cancellation)
}
