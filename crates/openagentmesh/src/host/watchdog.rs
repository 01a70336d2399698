//! Renews the instance record of this process, and runs its monitor.
//!
//! Costs, in messages to and from the server: a host renews its record 0.75 times a second at the default lease, 1.5
//! messages. A monitor on standby reads the monitor's lease once a second, 2 messages. The active monitor, one of all
//! hosts of a mesh, renews the lease once a second and lists the records twice a second: about 10 messages, and 2 for
//! each host.

use std::future::ready;
use std::sync::Arc;

use openagentmesh_monitor::Settings;
use tokio_util::sync::CancellationToken;

use crate::liveness::{self, InstanceLease, MonitoredMesh};
use crate::session::Session;

/// Starts the renewal of `lease`, until `abort` fires.
pub(super) fn renew(lease: Arc<InstanceLease>, abort: CancellationToken) {
    tokio::spawn(async move { abort.run_until_cancelled(lease.renew()).await });
}

/// Runs a monitor of `mesh`, until `stop` fires.
pub(super) async fn monitor(mesh: MonitoredMesh, session: Arc<Session>, stop: CancellationToken) {
    let own = session.instance_id.clone();
    let settings = Settings::default();
    liveness::monitor(
        mesh,
        &session.connection,
        own,
        settings,
        |_| ready(()),
        stop,
    )
    .await;
}
