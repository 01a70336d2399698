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
use crate::launch::Launched;
use crate::process::{end_servers_of, is_server_of};

/// How long to wait for other processes that start or stop a mesh. One at a time does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known about a mesh, in its directory.
const RECORD_FILE: &str = "mesh.json";

/// What [`RECORD_FILE`] says. It is written last: a directory without it belongs to a start that
/// was killed on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) pid: u32,
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

/// The right to start, list and stop detached servers.
pub(super) fn lock(parent: &Path, cancellation: &Cancellation) -> Result<FileLock, LocalError> {
    FileLock::acquire(&parent.join(".lock"), PATIENCE, cancellation)
}

/// The running servers, oldest first, leaving out the directory `except`. Directories of others
/// are removed. The caller must hold the lock.
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
            Some(record) if is_server_of(record.pid, &directory)? => {
                servers.push(DetachedServer { directory, record });
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
