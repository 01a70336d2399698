//! Renews the instance record of this process, and runs its monitor.
//!
//! Costs, in messages to and from the server: a host renews its record 0.75 times a second at the default lease, 1.5
//! messages. A monitor on standby reads the monitor's lease once a second, 2 messages. The active monitor, one of all
//! hosts of a mesh, renews the lease once a second and lists the records twice a second: about 10 messages, and 2 for
//! each host.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_monitor::{Disconnect, Monitor, Settings, Waker};
use openagentmesh_protocol::subject;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::liveness::{InstanceLease, MonitoredMesh};
use crate::session::Session;
use crate::transport::Action;

/// The limit of the return of the monitor's lease. Unreturned, it expires.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts the renewal of `lease`, until `abort` fires.
pub(super) fn renew(lease: Arc<InstanceLease>, abort: CancellationToken) {
    tokio::spawn(async move { abort.run_until_cancelled(lease.renew()).await });
}

/// Runs a monitor of `mesh`, until `stop` fires.
pub(super) async fn monitor(mesh: MonitoredMesh, session: Arc<Session>, stop: CancellationToken) {
    let own = session.instance_id.clone();
    let (mut monitor, waker) = Monitor::new(mesh, own, Settings::default());
    let monitoring = async { tokio::join!(monitor.run(), wake(&session, &waker)) };
    stop.run_until_cancelled(monitoring).await;
    match timeout(RELEASE_TIMEOUT, monitor.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the monitor's lease is not returned"),
        Err(_) => tracing::debug!("the monitor's lease is not returned in time"),
    }
}

/// Wakes the monitor when the server reports a disconnect, and after each reconnection. Servers without the
/// configuration of this project do not report disconnects.
async fn wake(session: &Session, waker: &Waker) {
    let connection = &session.connection;
    // A denial of the subscription is not worth a warning.
    let _denied = connection
        .denials
        .watch(|denial| denial.denies(Action::Subscribe, subject::DISCONNECTS));
    let mut reconnections = connection.watch_reconnections();
    let mut disconnects = match connection.subscribe(subject::DISCONNECTS, None).await {
        Ok(disconnects) => disconnects,
        Err(error) => {
            tracing::debug!(%error, "disconnects are not reported to the monitor");
            return;
        }
    };
    loop {
        tokio::select! {
            message = disconnects.next() => {
                let Some(message) = message else { return };
                if let Some(disconnect) = Disconnect::parse(&message.payload) {
                    waker.disconnected(disconnect);
                }
            }
            Ok(()) = reconnections.changed() => waker.look_at_all(),
        }
    }
}
