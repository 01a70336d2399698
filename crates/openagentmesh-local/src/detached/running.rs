//! The running detached servers of a home directory.

use std::path::Path;
use std::time::Duration;

use super::record::Record;
use super::server::DetachedServer;
use crate::LocalError;
use crate::directory::{remove, server_directories};
use crate::process::{end_servers_of, is_server_of};
use openagentmesh_name::Visible;

/// The running servers except that in `except`, oldest first. Removes the directories of servers that
/// do not run; a server of another container is left alone. The caller must hold the lock.
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
            // The process of another container is not visible, but the port may be reachable.
            Some(record) if is_server_of(record.pid, &directory)? || record.greets(&directory) => {
                servers.push(DetachedServer { directory, record });
            }
            // The container may have another network too, so the server may still run.
            Some(record) if record.is_of_another_namespace() => {
                tracing::debug!(
                    directory = %Visible(directory.display()),
                    "skipping a mesh that was started in another container"
                );
            }
            _ => {
                if let Err(failure) = clear(&directory) {
                    // The failure does not affect the servers that run.
                    tracing::warn!(failure = %Visible(&failure), "cannot remove the directory of a stopped mesh");
                }
            }
        }
    }
    servers.sort_by_key(|server| server.record.started_at);
    Ok(servers)
}

/// Removes the directory of a server that crashed or whose start was killed. A killed start may have
/// left a process without a record, which is ended first.
fn clear(directory: &Path) -> Result<(), LocalError> {
    tracing::debug!(directory = %Visible(directory.display()), "removing the directory of a stopped mesh");
    end_servers_of(directory, Duration::ZERO)?;
    remove(directory)
}
