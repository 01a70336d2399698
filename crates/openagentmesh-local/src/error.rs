//! What can go wrong around a local server, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a local `nats-server` could not be found, installed, started or stopped.
///
/// Every message says what happened, to what, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// There is no home directory to keep `.agentmesh` in.
    #[error(
        "no home directory is known, so there is no place for ~/.agentmesh; \
         set HOME (on Windows USERPROFILE) to a directory that can be written to"
    )]
    NoHome,

    /// The program named by the environment variable `OAM_NATS_SERVER` cannot be used.
    #[error(
        "OAM_NATS_SERVER names {path}, which cannot be used: {reason}; \
         let it name a nats-server of version 2.10 or later, or unset it",
        path = path.display()
    )]
    NamedServerUnusable {
        /// What the variable names.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The program given to a builder cannot be used.
    #[error(
        "{path} cannot be used as nats-server: {reason}; \
         give the path of a nats-server of version 2.10 or later",
        path = path.display()
    )]
    ServerUnusable {
        /// The path that was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// No usable `nats-server` was found, and none could be installed.
    #[error(
        "no usable nats-server was found and none could be installed:\n{attempts}\n\
         Install it yourself:\n{advice}\n\
         or let OAM_NATS_SERVER name a nats-server of version 2.10 or later."
    )]
    NotInstalled {
        /// What was tried, in order, and why each attempt failed.
        attempts: Attempts,
        /// Commands that install `nats-server` on this platform, one a line.
        advice: String,
    },

    /// The port leaves no room for the WebSocket listener, which takes the next one.
    #[error(
        "port {port} cannot be used: the WebSocket listener takes the port after it; \
         choose one between 1 and 65534, or 0 to let the server choose"
    )]
    InvalidPort {
        /// The port that was asked for.
        port: u16,
    },

    /// Another program listens on the port.
    #[error(
        "port {port} on 127.0.0.1 is taken by another program; \
         stop that program or choose another port"
    )]
    PortTaken {
        /// The port that was asked for.
        port: u16,
    },

    /// Another program listens on the port after the one asked for, which WebSocket clients use.
    #[error(
        "port {websocket_port} on 127.0.0.1 is taken by another program, and WebSocket clients of \
         a server on port {port} need it; stop that program or choose another port"
    )]
    WebSocketPortTaken {
        /// The port that was asked for; it is free.
        port: u16,
        /// The port after it, which is taken.
        websocket_port: u16,
    },

    /// A mesh started earlier with [`DetachedServer::start`](crate::DetachedServer::start) has
    /// the port.
    #[error(
        "port {port} is taken by the mesh at {url}, started in {started_in}; \
         use that mesh, stop it there, or choose another port",
        started_in = started_in.display()
    )]
    PortTakenByMesh {
        /// The port that was asked for, or the WebSocket port that comes with it.
        port: u16,
        /// Where that mesh answers.
        url: String,
        /// The working directory in which it was started.
        started_in: PathBuf,
    },

    /// The server ended before it was ready.
    #[error("nats-server ended before it was ready ({status}); the end of its log:\n{log}")]
    Exited {
        /// How the process ended.
        status: String,
        /// The last lines that it wrote.
        log: String,
    },

    /// The server did not answer in time. It has been ended.
    #[error(
        "nats-server did not answer within {} s and was ended; \
         try again when the machine is less busy; the end of its log:\n{log}",
        waited.as_secs()
    )]
    NotReady {
        /// How long it was given.
        waited: Duration,
        /// The last lines that it wrote.
        log: String,
    },

    /// A server is still running although it was told to end.
    #[error(
        "nats-server with process id {pid} did not end within {} s; end it by hand, then try again",
        waited.as_secs()
    )]
    StillRunning {
        /// The process.
        pid: u32,
        /// How long it was given.
        waited: Duration,
    },

    /// A mesh runs where its process can neither be seen nor ended from here.
    #[error(
        "the mesh at {url} was started in another container or outside of this one; stop it there"
    )]
    OutOfReach {
        /// Where that mesh answers.
        url: String,
    },

    /// Another process holds a lock for longer than its work should take.
    #[error(
        "another process has held the lock {path} for more than {} s; \
         wait for it or end it, then try again",
        waited.as_secs(),
        path = path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },

    /// A path cannot be written into the server's configuration file.
    #[error(
        "{path} cannot be named in a configuration file because it is not valid UTF-8; \
         set HOME to a directory whose name is",
        path = path.display()
    )]
    PathNotText {
        /// The path.
        path: PathBuf,
    },

    /// A file, directory or process could not be worked with.
    #[error(
        "could not {action} {path}: {source}; check its permissions and the free disk space",
        path = path.display()
    )]
    Io {
        /// What was being done, such as `create`.
        action: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The work was given up because nobody awaits it any more or the async runtime is stopping.
    #[error("the work was given up because the async runtime is stopping; start it again")]
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

/// What was tried to get a `nats-server`, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts(Vec<Attempt>);

impl Attempts {
    /// The attempts, in the order in which they were made.
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
            "no nats-server this way"
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

/// One thing that was tried, and why it did not help.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// What was tried: a path, an address, a command.
    pub what: String,
    /// Why it did not lead to a usable `nats-server`.
    pub why: String,
}
