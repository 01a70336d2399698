//! Ctrl-C during a request.

use crate::failure::Failure;

/// Waits for Ctrl-C. SIGTERM ends the process at once; the agent detects the lost caller.
pub(super) async fn interrupt() -> Result<(), Failure> {
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| Failure::local(format!("cannot listen for Ctrl-C: {error}")))
}

/// Runs `work`, or drops it on Ctrl-C and returns `None`.
pub(super) async fn unless_interrupted<T>(
    work: impl IntoFuture<Output = T>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        biased;
        interrupted = interrupt() => interrupted.map(|()| None),
        done = work.into_future() => Ok(Some(done)),
    }
}
