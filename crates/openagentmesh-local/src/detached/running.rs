//! The running detached servers of a home directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::{DetachedServer, Node};
use crate::LocalError;
use crate::directory::{remove, server_directories};
use crate::process::{end_servers_of, is_server_of};
use crate::record::Record;
use openagentmesh_name::Visible;

/// The running servers except those in `except`, oldest first. Removes the directories of servers that do not run, and
/// of clusters of which no node runs; a server of another container is left alone. The caller must hold the lock.
pub(super) fn running(
    parent: &Path,
    except: &[PathBuf],
) -> Result<Vec<DetachedServer>, LocalError> {
    let mut running: Vec<Node> = Vec::new();
    let mut down: Vec<Node> = Vec::new();
    for directory in server_directories(parent)? {
        if except.contains(&directory) {
            continue;
        }
        match Record::read(&directory)? {
            // The process of another container is not visible, but the port may be reachable.
            Some(record) if is_server_of(record.pid, &directory)? || record.greets(&directory) => {
                running.push(Node { directory, record });
            }
            // The container may have another network too, so the server may still run.
            Some(record) if record.is_of_another_namespace() => {
                tracing::debug!(
                    directory = %Visible(directory.display()),
                    "skipping a mesh that was started in another container"
                );
            }
            Some(record) if record.cluster.is_some() => down.push(Node { directory, record }),
            _ => clear(&directory),
        }
    }
    let mut servers = grouped(running);
    for node in down {
        match servers.iter_mut().find(|server| server.is_peer(&node)) {
            // The node can be started again with its data.
            Some(server) => server.down.push(node),
            None => clear(&node.directory),
        }
    }
    servers.sort_by_key(|server| server.node.record.started_at);
    Ok(servers)
}

/// The servers that processes in the foreground own and have recorded in `parent`, oldest first. Nothing is removed: the
/// owner of a directory does that, or the next one.
pub(super) fn running_in_foreground(parent: &Path) -> Result<Vec<DetachedServer>, LocalError> {
    let mut running = Vec::new();
    for directory in server_directories(parent)? {
        // A directory may be removed at any time.
        if let Some(record) = Record::read(&directory).ok().flatten()
            && (is_server_of(record.pid, &directory)? || record.greets(&directory))
        {
            running.push(Node { directory, record });
        }
    }
    let mut servers = grouped(running);
    servers.sort_by_key(|server| server.node.record.started_at);
    Ok(servers)
}

/// The servers of these nodes, of which those of a cluster are one.
fn grouped(mut nodes: Vec<Node>) -> Vec<DetachedServer> {
    // The first node of a cluster is the one with the lowest port.
    nodes.sort_by_key(|node| node.record.port);
    let mut servers: Vec<DetachedServer> = Vec::new();
    for node in nodes {
        match servers.iter_mut().find(|server| server.is_peer(&node)) {
            Some(server) => server.peers.push(node),
            None => servers.push(DetachedServer::new(node)),
        }
    }
    servers
}

/// Removes the directory of a server that crashed or whose start was killed. A killed start may have
/// left a process without a record, which is ended first.
fn clear(directory: &Path) {
    tracing::debug!(directory = %Visible(directory.display()), "removing the directory of a stopped mesh");
    let cleared = end_servers_of(directory, Duration::ZERO).and_then(|()| remove(directory));
    if let Err(failure) = cleared {
        // The failure does not affect the servers that run.
        tracing::warn!(failure = %Visible(&failure), "cannot remove the directory of a stopped mesh");
    }
}
