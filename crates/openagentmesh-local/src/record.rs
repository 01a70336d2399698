//! The record of a server of `oam mesh up`, kept in that server's directory.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::LocalError;
use crate::background::Cancellation;
use crate::config::server_name;
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
pub(crate) struct Record {
    pub(crate) pid: u32,
    /// The namespace of `pid`. Absent from records of the first version.
    #[serde(default)]
    pid_namespace: Option<String>,
    pub(crate) url: String,
    /// Absent without a WebSocket port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) websocket_url: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) websocket_origins: Vec<String>,
    pub(crate) port: u16,
    pub(crate) started_in: PathBuf,
    pub(crate) system_user: String,
    pub(crate) system_password: String,
    pub(crate) version: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started_at: OffsetDateTime,
    /// Absent from records of the first version.
    #[serde(default)]
    server_name: Option<String>,
    /// The directory that keeps the data. Absent if the data is removed with the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    /// Absent from the record of a single server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<ClusterRecord>,
}

/// The cluster of a server: the same in the records of all of its nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClusterRecord {
    pub(crate) name: String,
    /// The URLs of all nodes, with commas between them.
    pub(crate) url: String,
}

impl Record {
    pub(crate) fn new(
        launched: &Launched,
        websocket_origins: Vec<String>,
        started_in: PathBuf,
        version: String,
        data: Option<&Path>,
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
            server_name: Some(launched.server_name.clone()),
            data: data.map(Path::to_owned),
            cluster,
        }
    }

    /// The URL for clients; for a node of a cluster those of all nodes.
    pub(crate) fn mesh_url(&self) -> &str {
        match &self.cluster {
            Some(cluster) => &cluster.url,
            None => &self.url,
        }
    }

    /// Whether the server listens on `port`, for clients or for WebSocket clients.
    pub(crate) fn uses(&self, port: u16) -> bool {
        let websocket_port = self.websocket_url.as_deref().and_then(port_of);
        self.port == port || websocket_port == Some(port)
    }

    /// Whether the server of this record, in `directory`, sends its greeting. Works across containers
    /// that share a network.
    pub(crate) fn greets(&self, directory: &Path) -> bool {
        match &self.server_name {
            Some(name) => greets(self.port, name, GREETING_TIMEOUT),
            None => greets(self.port, &server_name(directory), GREETING_TIMEOUT),
        }
    }

    /// Whether the server was started in another PID namespace, such as a container. Its process is
    /// not visible here, even if it runs.
    pub(crate) fn is_of_another_namespace(&self) -> bool {
        self.pid_namespace.is_some() && self.pid_namespace != pid_namespace()
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<(), LocalError> {
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
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>, LocalError> {
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
pub(crate) fn lock(parent: &Path, cancellation: &Cancellation) -> Result<FileLock, LocalError> {
    FileLock::acquire(&parent.join(".lock"), LOCK_TIMEOUT, cancellation)
}
