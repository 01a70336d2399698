//! The signals that shut a process down.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::time::Duration;

use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};
#[cfg(unix)]
use unix::Source;
#[cfg(windows)]
use windows::Source;

/// Waits for a signal to shut down: Ctrl-C or SIGTERM, on Windows Ctrl-C, Ctrl-Break, or the end of the console, of
/// the session or of the system.
///
/// Meant for programs with a loop of their own; [`AgentMesh::run`](crate::AgentMesh::run) handles the
/// signals itself. From the first call on, these signals no longer end the process. A signal that arrives between two
/// calls is lost: a loop polls one future, as below. Windows ends the process about 5 s after the end of the console, the
/// session or the system.
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
/// let mut signal = std::pin::pin!(openagentmesh::shutdown_signal());
/// loop {
///     tokio::select! {
///         _ = every_minute.tick() => println!("{} agents", mesh.catalog().await?.len()),
///         received = &mut signal => {
///             received?;
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

/// The signals that shut down. Each is received once, also one that arrives between two calls of [`next`](Self::next).
pub(crate) struct Signals(Source);

/// A signal to shut down.
pub(crate) struct Signal {
    /// The time after which the system ends the process; `None` if the process ends by itself.
    pub(crate) time_left: Option<Duration>,
}

impl Signals {
    /// Listens for the signals. From now on they no longer end the process.
    ///
    /// # Errors
    ///
    /// `io_error` when the process cannot listen for signals.
    pub(crate) fn listen() -> Result<Self> {
        Source::listen().map(Self).map_err(|error| {
            Error::raised(
                ErrorCode::IoError,
                format!("cannot listen for signals: {error}"),
            )
            .with_source(error)
        })
    }

    /// Waits for the next signal. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Signal {
        Signal {
            time_left: self.0.next().await,
        }
    }
}
