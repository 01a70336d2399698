//! Blocking work outside of the async runtime's worker threads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::LocalError;

/// Signals blocking work that its future was dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Fails with [`LocalError::Interrupted`] once the awaiting future has been dropped.
    pub(crate) fn check(&self) -> Result<(), LocalError> {
        if self.0.load(Ordering::Relaxed) {
            Err(LocalError::Interrupted)
        } else {
            Ok(())
        }
    }
}

struct CancelOnDrop(Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on the blocking pool.
///
/// Dropping the returned future cancels the work. A result that arrives afterwards is dropped on the
/// pool, so results that hold processes or directories must clean up on drop.
pub(crate) async fn run<T, W>(work: W) -> Result<T, LocalError>
where
    T: Send + 'static,
    W: FnOnce(&Cancellation) -> Result<T, LocalError> + Send + 'static,
{
    let cancellation = Cancellation::default();
    let _cancel = CancelOnDrop(cancellation.clone());
    match tokio::task::spawn_blocking(move || work(&cancellation)).await {
        Ok(result) => result,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(LocalError::Interrupted),
        },
    }
}

/// Like [`run`], but on a thread of its own, for work that may block for seconds after cancellation.
/// The runtime's shutdown does not wait for the thread. If the process exits first, a later start
/// must remove what the work left.
pub(crate) async fn run_on_thread<T, W>(name: &str, work: W) -> Result<T, LocalError>
where
    T: Send + 'static,
    W: FnOnce(&Cancellation) -> Result<T, LocalError> + Send + 'static,
{
    let cancellation = Cancellation::default();
    let _cancel = CancelOnDrop(cancellation.clone());
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // The send fails if the future was dropped; the result then cleans up on drop.
            drop(sender.send(work(&cancellation)));
        })
        .map_err(LocalError::io("start a thread for", Path::new(name)))?;
    receiver.await.unwrap_or(Err(LocalError::Interrupted))
}
