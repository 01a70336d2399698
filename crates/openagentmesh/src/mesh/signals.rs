//! The signals that shut a process down.

use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};

/// Waits for Ctrl-C, or for SIGTERM where there is one.
///
/// Meant for programs with a loop of their own; [`AgentMesh::run`](crate::AgentMesh::run) handles the
/// signals itself. From the first call on, these signals no longer end the process.
///
/// # Errors
///
/// `io_error` when the process cannot listen for signals. Cancel-safe.
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
    /// Listens for the signals. From now on they no longer end the process.
    pub(crate) fn listen() -> Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| {
                signal(kind).map_err(|error| {
                    Error::raised(
                        ErrorCode::IoError,
                        format!("cannot listen for signals: {error}"),
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
            tracing::error!(%error, "cannot listen for Ctrl-C; end the process by other means");
            std::future::pending::<()>().await;
        }
    }
}
