//! Runs a monitor of the mesh.

use std::time::Duration;

use futures::{StreamExt, stream};
use openagentmesh_monitor::{Disconnect, Monitor, Notice, Settings, Waker};
use openagentmesh_protocol::{InstanceId, subject};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::monitor_event::Observer;
use super::monitored::MonitoredMesh;
use crate::error::Result;
use crate::transport::{Action, Connection, DenialWatch, Subscription};

/// The limit of the return of the monitor's lease. Unreturned, it expires.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs a monitor of `mesh` under the id `own`, until `stop` fires, and returns its lease then. `source` makes a future
/// that wakes the monitor in addition to the messages of `connection`.
pub(crate) async fn monitor<S: Future<Output = ()>>(
    mesh: MonitoredMesh,
    connection: &Connection,
    own: InstanceId,
    settings: Settings,
    source: impl FnOnce(Waker) -> S,
    stop: CancellationToken,
) {
    let observer = mesh.observer().clone();
    let (mut monitor, waker) = Monitor::new(mesh, own, settings);
    let source = source(waker.clone());
    let monitoring = async {
        tokio::join!(
            monitor.run(),
            wake(connection, &waker),
            source,
            observe(connection, &observer),
        )
    };
    stop.run_until_cancelled(monitoring).await;
    match timeout(RELEASE_TIMEOUT, monitor.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the monitor's lease is not returned"),
        Err(_) => tracing::debug!("the monitor's lease is not returned in time"),
    }
}

/// Wakes the monitor when the server reports a disconnect, and after each reconnection. Servers without the
/// configuration of this project do not report disconnects.
async fn wake(connection: &Connection, waker: &Waker) {
    let mut reconnections = connection.watch_reconnections();
    let Ok((mut disconnects, _denied)) = subscribe(connection, subject::DISCONNECTS).await else {
        return;
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

/// Passes the notices of other monitors to `observer`.
async fn observe(connection: &Connection, observer: &Observer) {
    if !observer.is_observing() {
        return;
    }
    let [downs, downs_of_users] = subject::ALL_INSTANCES_DOWN;
    let subscriptions = tokio::try_join!(
        subscribe(connection, downs),
        subscribe(connection, downs_of_users),
        subscribe(connection, subject::ALL_DEATHS),
    );
    let Ok(((downs, _denied), (downs_of_users, _denied_of_users), (mut deaths, _deaths_denied))) =
        subscriptions
    else {
        return;
    };
    let mut downs = stream::select(downs, downs_of_users);
    loop {
        let notice = tokio::select! {
            Some(message) = downs.next() => {
                serde_json::from_slice(&message.payload).ok().map(Notice::InstanceDown)
            }
            Some(message) = deaths.next() => {
                serde_json::from_slice(&message.payload).ok().map(Notice::Death)
            }
            else => return,
        };
        notice
            .into_iter()
            .for_each(|notice| observer.receives(notice));
    }
}

/// A denial of the subscription is not worth a warning as long as the watch is kept.
async fn subscribe(
    connection: &Connection,
    subject: &'static str,
) -> Result<(Subscription, DenialWatch)> {
    let denied = connection
        .denials
        .watch(move |denial| denial.denies(Action::Subscribe, subject));
    let subscribed = connection.subscribe(subject, None).await;
    let subscription = subscribed.inspect_err(
        |error| tracing::debug!(%error, subject, "the monitor receives no messages"),
    )?;
    Ok((subscription, denied))
}
