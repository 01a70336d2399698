//! Threads that decode and check large inputs.
//!
//! Each large input has a thread of its own instead of one of the runtime's. An allocator keeps memory that a
//! thread has freed for this thread, until the thread ends; the next thread uses the same memory. The
//! [budget](super::budget) bounds the number of threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::util::allocator::join_freed_pieces;

/// Whether a thread is about to give memory back.
static IS_RELEASING: AtomicBool = AtomicBool::new(false);

/// Runs `work` on a thread of its own. `None` if `work` panicked, or if the system does not start a thread.
///
/// Work that has started runs to its end, also if the future is dropped.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let _entered = runtime.enter();
        join_freed_pieces();
        // The panic of a handler was caught before.
        if let Ok(result) = catch_unwind(AssertUnwindSafe(work)) {
            // The receiver is gone if the request was cancelled.
            drop(sender.send(result));
        }
    };
    Builder::new()
        .name("oam-decode".to_owned())
        .spawn(work)
        .ok()?;
    done.await.ok()
}

/// Gives memory of earlier threads back to the system, after a large input was dropped.
pub(super) fn release_memory() {
    if IS_RELEASING.swap(true, Ordering::Relaxed) {
        return;
    }
    let release = || {
        IS_RELEASING.store(false, Ordering::Relaxed);
        join_freed_pieces();
    };
    // Without a thread, the memory is given back after a later input.
    if Builder::new()
        .name("oam-release".to_owned())
        .spawn(release)
        .is_err()
    {
        IS_RELEASING.store(false, Ordering::Relaxed);
    }
}
