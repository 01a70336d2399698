//! What is known about the detached servers of a home directory.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::DetachedServer;
use crate::LocalError;
use crate::background::Cancellation;
use crate::directory::{FileLock, private_file, remove, server_directories};
use crate::greeting::greets;
use crate::launch::Launched;
use crate::process::{end_servers_of, is_server_of};

/// How long to wait for other processes that start or stop a mesh. One at a time does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a server may take to greet. One that is alive does so at once.
const GREETING_PATIENCE: Duration = Duration::from_secs(1);

/// What is known about a mesh, in its directory.
const RECORD_FILE: &str = "mesh.json";

/// What [`RECORD_FILE`] says. It is written last: a directory without it belongs to a start that
/// was killed on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) pid: u32,
    /// Where `pid` means something. Absent from records of the first version.
    #[serde(default)]
    pid_namespace: Option<String>,
    pub(super) url: String,
    pub(super) websocket_url: String,
    pub(super) port: u16,
    pub(super) websocket_port: u16,
    pub(super) started_in: PathBuf,
    pub(super) system_user: String,
    pub(super) system_password: String,
    pub(super) version: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) started_at: OffsetDateTime,
}

impl Record {
    pub(super) fn new(launched: &Launched, started_in: PathBuf, version: String) -> Self {
        Self {
            pid: launched.child.pid(),
            pid_namespace: pid_namespace(),
            url: launched.endpoints.url.clone(),
            websocket_url: launched.endpoints.websocket_url.clone(),
            port: launched.endpoints.port,
            websocket_port: launched.endpoints.websocket_port,
            started_in,
            system_user: launched.system.user.clone(),
            system_password: launched.system.password.clone(),
            version,
            started_at: OffsetDateTime::now_utc(),
        }
    }

    /// Whether the server of this record, in `directory`, answers, wherever it runs.
    pub(super) fn greets(&self, directory: &Path) -> bool {
        greets(self.port, directory, GREETING_PATIENCE)
    }

    /// Whether the server was started where its process cannot be seen from here, as in another
    /// container. Then it may run although there seems to be no such process.
    fn is_of_another_namespace(&self) -> bool {
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

    /// The record in `directory`; `None` if it was never completed.
    fn read(directory: &Path) -> Result<Option<Self>, LocalError> {
        let path = directory.join(RECORD_FILE);
        match std::fs::read(&path) {
            Ok(json) => Ok(serde_json::from_slice(&json).ok()),
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(LocalError::io("read", &path)(failure)),
        }
    }
}

/// A name for the set of processes that this one sees; two containers have different ones. A home
/// directory can also be shared with a virtual machine, as containers on macOS do.
fn pid_namespace() -> Option<String> {
    if cfg!(target_os = "linux") {
        let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(link.to_string_lossy().into_owned())
    } else {
        Some(std::env::consts::OS.to_owned())
    }
}

/// The right to start, list and stop detached servers.
pub(super) fn lock(parent: &Path, cancellation: &Cancellation) -> Result<FileLock, LocalError> {
    FileLock::acquire(&parent.join(".lock"), PATIENCE, cancellation)
}

/// The running servers, oldest first, leaving out the directory `except`. Directories of others
/// are removed, unless nobody can tell from here. The caller must hold the lock.
pub(super) fn running(
    parent: &Path,
    except: Option<&Path>,
) -> Result<Vec<DetachedServer>, LocalError> {
    let mut servers = Vec::new();
    for directory in server_directories(parent)? {
        if Some(directory.as_path()) == except {
            continue;
        }
        match Record::read(&directory)? {
            // The process cannot be seen if it runs in another container, but it may be heard.
            Some(record) if is_server_of(record.pid, &directory)? || record.greets(&directory) => {
                servers.push(DetachedServer { directory, record });
            }
            // Neither seen nor heard: that container may have another network, too.
            Some(record) if record.is_of_another_namespace() => {
                tracing::debug!(
                    directory = %directory.display(),
                    "leaving a mesh alone that was started in another container"
                );
            }
            _ => {
                if let Err(failure) = clear(&directory) {
                    // The servers that do run are to be seen all the same.
                    tracing::warn!(%failure, "what a mesh left could not be removed");
                }
            }
        }
    }
    servers.sort_by_key(|server| server.record.started_at);
    Ok(servers)
}

/// Removes what is left of a server that crashed or whose start was killed. The latter may have
/// left a process without a record.
fn clear(directory: &Path) -> Result<(), LocalError> {
    tracing::debug!(directory = %directory.display(), "removing what a mesh left");
    end_servers_of(directory, Duration::ZERO)?;
    remove(directory)
}
