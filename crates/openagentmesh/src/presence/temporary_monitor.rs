//! A monitor for a short time, for a mesh whose only host has died: no other process would find that out.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use openagentmesh_monitor::Settings;
use openagentmesh_protocol::InstanceId;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::catalog::Directory;
use crate::liveness::{self, LiveConnections, MonitoredMesh, Records};
use crate::transport::Connection;

/// The time of a run: a lease at its default, and slack.
const RUN_TIME: Duration = Duration::from_secs(6);

/// Runs a monitor in a process that need not serve agents.
#[derive(Clone)]
pub(super) struct TemporaryMonitor {
    pub(super) connection: Connection,
    pub(super) records: Arc<Records>,
    pub(super) live: Arc<LiveConnections>,
    pub(super) directory: Arc<Directory>,
}

impl TemporaryMonitor {
    /// Runs the monitor for [`RUN_TIME`]. While another one is active, it only reads the monitor's lease.
    pub(super) async fn run(self) {
        let Self {
            connection,
            records,
            live,
            directory,
        } = self;
        let mesh = MonitoredMesh::new(&connection, &records, &live, &directory);
        let stop = CancellationToken::new();
        // A host in this process has a monitor with the process's own id.
        let own = InstanceId::random();
        // The whole catalog would be a load for a caller.
        let settings = Settings::instances_only();
        let monitoring = liveness::monitor(
            mesh,
            &connection,
            own,
            settings,
            |_| ready(()),
            stop.clone(),
        );
        let stopping = async {
            sleep(RUN_TIME).await;
            stop.cancel();
        };
        tokio::join!(monitoring, stopping);
    }
}
