//! A monitor without agents.

use std::fmt;
use std::sync::Arc;

use openagentmesh_monitor::Settings;
use openagentmesh_protocol::InstanceId;
use tokio_util::sync::CancellationToken;

use super::builder::MeshBuilder;
use super::handle::AgentMesh;
use super::signals::Signals;
use crate::liveness::{self, MonitorEvent, MonitoredMesh, Observer, SystemAdvisories};
use crate::session::Session;
use crate::transport::ConnectionGuard;
use crate::util::operation::Operation;

/// A monitor of the mesh, which finds dead processes, tells their callers, and removes their entries; made by
/// [`AgentMesh::monitor`].
///
/// Each process that serves agents runs a monitor already. One of all monitors is active, by a lease; the others take over
/// within seconds. A monitor of its own is for a mesh whose hosts cannot run one, and for servers whose configuration
/// does not export disconnects: with a connection of the [system account](Self::system_account), deaths are found within
/// milliseconds in place of a lease's time.
///
/// It also lists the agents of hosts that may not write the catalog: those that have written a contract and an instance
/// record.
///
/// ```no_run
/// # async fn example() -> openagentmesh::Result<()> {
/// use openagentmesh::AgentMesh;
///
/// let mesh = AgentMesh::from_env().await?;
/// let system = AgentMesh::builder().url("nats://127.0.0.1:4222").credentials("sys.creds");
/// mesh.monitor()
///     .system_account(system)
///     .on_event(|event| println!("{event:?}"))
///     .run()
///     .await?;
/// mesh.shutdown().await
/// # }
/// ```
#[must_use = "a monitor does nothing until `run` is awaited"]
pub struct Monitor {
    session: Arc<Session>,
    system: Option<MeshBuilder>,
    /// An id of its own: a host of the same process has a monitor, too.
    own: InstanceId,
    observer: Observer,
}

impl AgentMesh {
    /// A monitor of the mesh that needs no agents in this process. See [`Monitor`].
    pub fn monitor(&self) -> Monitor {
        Monitor {
            session: Arc::clone(self.session()),
            system: None,
            own: InstanceId::random(),
            observer: Observer::default(),
        }
    }
}

impl Monitor {
    /// Connects a second time, with the options of `builder`, as a user of the server's system account, and receives its
    /// advisories of disconnects. Each is passed on as a message on `mesh.sys.disconnect`, without addresses and users, so
    /// that the active monitor and all callers learn of it. An advisory is a reason to look, and never believed: a
    /// process is dead when the server says that the connection is gone which the record of the process names.
    ///
    /// Both connections are restored when they are lost.
    pub fn system_account(mut self, builder: MeshBuilder) -> Self {
        self.system = Some(builder);
        self
    }

    /// Calls `on_event` with each event: the role of this monitor, dead instances and removed agents. While another
    /// monitor is active, these come from its notices. `on_event` must not block.
    pub fn on_event(mut self, on_event: impl Fn(MonitorEvent) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(self.own.clone(), on_event);
        self
    }

    /// Runs until Ctrl-C or SIGTERM, and then returns the lease.
    ///
    /// # Errors
    ///
    /// Those of [`run_until`](Self::run_until); `io_error` when the process cannot listen for signals.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe. If the future is dropped, the lease is not returned; it expires after 3 s.
    pub fn run(self) -> Operation<'static, ()> {
        Operation::new(async move {
            let mut signals = Signals::listen()?;
            let stop = CancellationToken::new();
            let mut running = self.run_until(stop.clone());
            tokio::select! {
                ended = &mut running => return ended,
                _ = signals.next() => stop.cancel(),
            }
            running.await
        })
    }

    /// Runs until `stop` is cancelled or the connection to the mesh is closed, and then returns the lease.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the user may not write the lease of the monitor; those of [`MeshBuilder::connect`] for the
    /// connection of the system account; `connection_denied` when its user is not one of the system account, or may not
    /// subscribe to disconnects.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub fn run_until(self, stop: CancellationToken) -> Operation<'static, ()> {
        Operation::new(async move {
            let connection = &self.session.connection;
            connection.check_attached()?;
            let mesh = MonitoredMesh::new(
                connection,
                &self.session.records,
                &self.session.live_connections,
                &self.session.directory,
            )
            .observed_by(self.observer);
            let checked = stop.run_until_cancelled(mesh.check_permission(&self.own));
            checked.await.transpose()?;
            let advisories = match self.system {
                Some(builder) => {
                    let (system, _, url) = builder.dial().await?;
                    let system = ConnectionGuard::new(system);
                    tracing::debug!(url, "connected as the system account");
                    Some(SystemAdvisories::subscribe(system, connection).await?)
                }
                None => None,
            };
            let source = |waker| async move {
                if let Some(advisories) = advisories {
                    advisories.forward(connection, &waker).await;
                }
            };
            let closed = connection.closed();
            let stopped = CancellationToken::new();
            let settings = Settings::default();
            let monitoring = liveness::monitor(
                mesh,
                connection,
                self.own,
                settings,
                source,
                stopped.clone(),
            );
            let stopping = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = closed.cancelled() => {}
                }
                stopped.cancel();
            };
            let listing = liveness::list_agents(&self.session.directory, &self.session.records);
            let listing = stopped.run_until_cancelled(listing);
            tokio::join!(monitoring, listing, stopping);
            Ok(())
        })
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("system", &self.system)
            .finish_non_exhaustive()
    }
}
