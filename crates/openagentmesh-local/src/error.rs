//! Errors of local servers.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A local `nats-server` could not be found, installed, started or stopped.
///
/// Every message names the problem, its cause and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The home directory, which contains `.agentmesh`, is unknown.
    #[error(
        "home directory unknown: ~/.agentmesh has no location; \
         set HOME (on Windows USERPROFILE) to a writable directory"
    )]
    NoHome,

    /// The program in the environment variable `OAM_NATS_SERVER` is unusable.
    #[error(
        "unusable program {path} in OAM_NATS_SERVER: {reason}; \
         set OAM_NATS_SERVER to a nats-server of version 2.10 or later, or unset it",
        path = path.display()
    )]
    NamedServerUnusable {
        /// The value of the variable.
        path: PathBuf,
        /// The reason why the program is unusable.
        reason: String,
    },

    /// The program given to a builder is unusable.
    #[error(
        "unusable nats-server {path}: {reason}; \
         use the path of a nats-server of version 2.10 or later",
        path = path.display()
    )]
    ServerUnusable {
        /// The given path.
        path: PathBuf,
        /// The reason why the program is unusable.
        reason: String,
    },

    /// No usable `nats-server` was found, and the installation failed.
    #[error(
        "no usable nats-server found, and the installation failed:\n{attempts}\n\
         install it by hand:\n{advice}\n\
         or set OAM_NATS_SERVER to the path of a nats-server of version 2.10 or later"
    )]
    NotInstalled {
        /// The attempts in order, each with the reason of its failure.
        attempts: Attempts,
        /// Commands to install `nats-server` on this platform, one per line.
        advice: String,
    },

    /// The port is the last one, but the WebSocket listener needs the next port.
    #[error(
        "invalid port {port}: the WebSocket listener needs the next port; \
         choose a port between 1 and 65534, or 0 to let the server choose"
    )]
    InvalidPort {
        /// The port that was asked for.
        port: u16,
    },

    /// The number of nodes of a cluster is out of range.
    #[error("invalid number of nodes {nodes}: a cluster on one machine has 3 to 9; choose 3 or 5")]
    InvalidCluster {
        /// The number that was asked for.
        nodes: usize,
    },

    /// The nodes of a cluster need more ports after the first one than there are.
    #[error(
        "invalid port {port}: the {nodes} nodes of a cluster need consecutive ports up to 65535; \
         choose a lower port, or 0 to let the servers choose"
    )]
    InvalidClusterPort {
        /// The port of the first node.
        port: u16,
        /// The number of nodes.
        nodes: usize,
    },

    /// The nodes of a cluster run, but do not work together in time.
    #[error(
        "cluster start timed out: its {nodes} nodes have not formed a JetStream cluster within {} s; \
         try again when the machine is less busy; end of the log of one node:\n{log}",
        waited.as_secs()
    )]
    ClusterNotReady {
        /// The number of nodes that should work together.
        nodes: usize,
        /// The timeout.
        waited: Duration,
        /// The last lines of the log of the first node.
        log: String,
    },

    /// The index of a node is out of range.
    #[error("unknown node {index}: the cluster has nodes 0 to {}; choose one of them", nodes - 1)]
    UnknownNode {
        /// The index that was given.
        index: usize,
        /// The number of nodes.
        nodes: usize,
    },

    /// The origin of WebSocket clients is not one that a browser sends.
    #[error(
        "invalid origin '{origin}': expected http or https, a host and optionally a port; \
         write the origin of the web page, such as http://localhost:3000"
    )]
    InvalidOrigin {
        /// The origin that was given.
        origin: String,
    },

    /// Another program listens on the port.
    #[error(
        "port {port} in use: another program listens on 127.0.0.1:{port}; \
         stop that program or choose another port"
    )]
    PortTaken {
        /// The port that was asked for.
        port: u16,
    },

    /// Another program listens on the port after the requested one, which WebSocket clients use.
    #[error(
        "WebSocket port {websocket_port} in use: another program listens on \
         127.0.0.1:{websocket_port}, which a server on port {port} needs too; \
         stop that program or choose another port"
    )]
    WebSocketPortTaken {
        /// The requested port, which is free.
        port: u16,
        /// The next port, which is in use.
        websocket_port: u16,
    },

    /// Another [`DetachedServer`](crate::DetachedServer) uses the port.
    #[error(
        "port {port} in use: the mesh at {url} was started in {started_in}; \
         use that mesh, stop it, or choose another port",
        started_in = started_in.display()
    )]
    PortTakenByMesh {
        /// The requested port, or the next one for WebSocket clients.
        port: u16,
        /// The URL of that mesh.
        url: String,
        /// The working directory in which that mesh was started.
        started_in: PathBuf,
    },

    /// The server exited before it was ready.
    #[error("nats-server exited before it was ready: {status}; end of its log:\n{log}")]
    Exited {
        /// The exit status of the process.
        status: String,
        /// The last lines of the server's log.
        log: String,
    },

    /// The server did not become ready in time, and was killed.
    #[error(
        "nats-server start timed out: not ready within {} s; \
         try again when the machine is less busy; end of its log:\n{log}",
        waited.as_secs()
    )]
    NotReady {
        /// The timeout.
        waited: Duration,
        /// The last lines of the server's log.
        log: String,
    },

    /// A server still runs although it was killed.
    #[error(
        "nats-server still running: process {pid} did not exit within {} s; \
         kill it by hand, then try again",
        waited.as_secs()
    )]
    StillRunning {
        /// The server's process id.
        pid: u32,
        /// The timeout.
        waited: Duration,
    },

    /// A mesh runs in another container or virtual machine, so its process is not visible here.
    #[error(
        "mesh at {url} out of reach: it was started in another container or outside of this one; \
         stop it there"
    )]
    OutOfReach {
        /// The URL of that mesh.
        url: String,
    },

    /// Another process holds a lock for longer than its work should take.
    #[error(
        "lock {path} unavailable: another process has held it for more than {} s; \
         wait for that process or end it, then try again",
        waited.as_secs(),
        path = path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The timeout.
        waited: Duration,
    },

    /// A server serves the data of a directory. The lock ends with that server, also when it is killed.
    #[error(
        "data directory {path} in use: {holder} serves it; \
         use that mesh, stop it first, or choose another directory",
        path = path.display()
    )]
    DataInUse {
        /// The data directory.
        path: PathBuf,
        /// The mesh that serves the data, as a noun phrase.
        holder: String,
    },

    /// A directory cannot keep the data of a mesh.
    #[error(
        "unusable data directory {path}: {reason}; choose a new or empty directory",
        path = path.display()
    )]
    DataUnusable {
        /// The directory.
        path: PathBuf,
        /// The reason.
        reason: String,
    },

    /// The data belongs to another number of servers.
    #[error(
        "unusable data directory {path}: its data belongs to {}; \
         serve it so, or choose another directory",
        match nodes { 1 => "a single server".to_owned(), n => format!("a cluster of {n} servers") },
        path = path.display()
    )]
    DataOfOtherNodes {
        /// The data directory.
        path: PathBuf,
        /// The number of servers that the data belongs to.
        nodes: usize,
    },

    /// A path is not valid UTF-8, which the server's configuration file requires.
    #[error(
        "invalid path {path}: the server's configuration file allows UTF-8 only; \
         set HOME to a directory with a UTF-8 path",
        path = path.display()
    )]
    PathNotText {
        /// The path.
        path: PathBuf,
    },

    /// An operation on a file, directory or process failed.
    #[error(
        "cannot {action} {path}: {source}; check its permissions and the free disk space",
        path = path.display()
    )]
    Io {
        /// The operation, such as `create`.
        action: &'static str,
        /// The file, directory or program concerned.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },

    /// The operation was cancelled: its future was dropped or the async runtime is stopping.
    #[error("operation cancelled: the async runtime is stopping; try again in a running runtime")]
    Interrupted,
}

impl LocalError {
    /// Wraps an operating-system error, for use with `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// The attempts to obtain a `nats-server`, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts(Vec<Attempt>);

impl Attempts {
    /// The attempts, in order.
    ///
    /// ```
    /// assert!(openagentmesh_local::Attempts::default().iter().next().is_none());
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.0.iter()
    }

    pub(crate) fn add(&mut self, what: impl Into<String>, why: impl fmt::Display) {
        let attempt = Attempt {
            what: what.into(),
            why: why.to_string(),
        };
        tracing::debug!(
            what = attempt.what,
            why = attempt.why,
            "attempt to obtain nats-server failed"
        );
        self.0.push(attempt);
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attempt) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}  - {}: {}", attempt.what, attempt.why)?;
        }
        Ok(())
    }
}

/// A failed attempt to obtain a `nats-server`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The source: a path, an address or a command.
    pub what: String,
    /// The reason of the failure.
    pub why: String,
}
