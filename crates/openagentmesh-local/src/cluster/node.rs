//! One node of a local cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::watched::WatchedNode;
use crate::background::Cancellation;
use crate::config::{Config, Member, SharedConfig, log_path};
use crate::data::DataDirectory;
use crate::directory::OwnedDirectory;
use crate::launch::{Endpoints, Launched, relaunch};
use crate::process::OwnedChild;
use crate::watchdog::Watchdog;
use crate::websocket::Origins;
use crate::{LocalError, accounts};

/// One node of a [`LocalCluster`](crate::LocalCluster). Its ports and its data outlive a restart.
#[derive(Debug)]
pub struct ClusterNode {
    // Drop order as for `LocalServer`.
    running: Option<OwnedChild>,
    directory: OwnedDirectory,
    watchdog: Option<Watchdog>,
    endpoints: Endpoints,
    name: String,
    /// The length of the log before the last start, in bytes.
    log_start: u64,
}

impl ClusterNode {
    pub(super) fn new(launched: Launched, directory: OwnedDirectory) -> Self {
        Self {
            running: Some(launched.child),
            directory,
            watchdog: launched.watchdog,
            endpoints: launched.endpoints,
            name: launched.server_name,
            log_start: launched.log_start,
        }
    }

    /// The URL for clients, such as `nats://127.0.0.1:45431`.
    pub fn url(&self) -> &str {
        &self.endpoints.url
    }

    /// The TCP port of [`url`](Self::url).
    pub fn port(&self) -> u16 {
        self.endpoints.port
    }

    /// The name of the server, by which JetStream names the leader of a stream.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// The process id; `None` while the node is down.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(OwnedChild::pid)
    }

    /// The node's directory, which is removed when the cluster ends.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The node's log file, in [`directory`](Self::directory).
    pub fn log_path(&self) -> PathBuf {
        log_path(self.directory())
    }

    pub(super) fn kill(&mut self) -> Result<(), LocalError> {
        self.watchdog = None;
        self.running.take().map_or(Ok(()), OwnedChild::kill)
    }

    pub(super) fn terminate(&mut self, grace: Duration) -> Result<(), LocalError> {
        let ended = match self.running.take() {
            Some(child) => child.terminate(grace),
            None => Ok(()),
        };
        self.watchdog = None;
        ended
    }

    pub(super) fn start(
        &mut self,
        binary: &Path,
        cluster: &SharedConfig,
        index: usize,
        data: Option<&DataDirectory>,
        cancellation: &Cancellation,
    ) -> Result<(), LocalError> {
        // Those of the start, or others that have replaced them since.
        let accounts = accounts::read(self.directory())?;
        let config = Config {
            directory: self.directory.path(),
            port: self.endpoints.port,
            websocket_origins: &Origins::default(),
            max_payload: cluster.max_payload,
            member: Some(Member { cluster, index }),
            data,
            accounts: accounts.as_deref(),
        };
        let launched = relaunch(binary, &config, cancellation)?;
        self.running = Some(launched.child);
        self.watchdog = launched.watchdog;
        self.log_start = launched.log_start;
        Ok(())
    }

    pub(super) fn watched(&self) -> WatchedNode<'_> {
        WatchedNode {
            port: self.port(),
            directory: self.directory(),
            name: &self.name,
            log_start: self.log_start,
        }
    }

    pub(super) fn remove(self) -> Result<(), LocalError> {
        self.directory.remove()
    }
}
