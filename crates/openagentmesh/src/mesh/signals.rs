//! The signals that end a process in order.

use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};

/// Waits for Ctrl-C, or for SIGTERM where there is one.
///
/// For programs with a loop of their own; [`AgentMesh::run`](crate::AgentMesh::run) heeds the
/// signals by itself. From the first call on, they no longer end the process by themselves.
///
/// # Errors
///
/// `connection_failed` when signals cannot be awaited on this system. Cancel-safe.
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
/// use std::time::Duration;
///
/// let mut every_minute = tokio::time::interval(Duration::from_secs(60));
/// loop {
///     tokio::select! {
///         _ = every_minute.tick() => println!("{} agents", mesh.catalog().await?.len()),
///         signal = openagentmesh::shutdown_signal() => {
///             signal?;
///             return mesh.shutdown().await;
///         }
///     }
/// }
/// # }
/// ```
pub async fn shutdown_signal() -> Result<()> {
    Signals::listen()?.next().await;
    Ok(())
}

/// Ctrl-C, and SIGTERM where there is one.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| {
                signal(kind).map_err(|error| {
                    Error::raised(
                        ErrorCode::ConnectionFailed,
                        format!("signals cannot be awaited: {error}"),
                    )
                    .with_source(error)
                })
            };
            Ok(Self {
                interrupt: listen(SignalKind::interrupt())?,
                terminate: listen(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next signal. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "Ctrl-C cannot be awaited; end the process by other means");
            std::future::pending::<()>().await;
        }
    }
}
