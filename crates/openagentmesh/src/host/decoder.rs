//! The thread that decodes and checks large inputs.
//!
//! One thread serves the whole process. Its inputs are taken from one heap of the allocator, so that each finds the room
//! that the one before has left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::util::sync::Mutex;

type Job = Box<dyn FnOnce() + Send>;

/// The maximum number of jobs that wait. The [budget](super::budget) admits one input at a time.
const MAX_WAITING_JOBS: usize = 1;

/// The jobs of the thread, once it was started. The thread never ends.
static JOBS: Mutex<Option<SyncSender<Job>>> = Mutex::new(None);

/// Runs `work` on the thread. `None` if `work` panicked, or if the system does not start the thread.
///
/// Work that has started runs to its end, also if the future is dropped.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = oneshot::channel();
    let runtime = Handle::current();
    let job = move || {
        let _entered = runtime.enter();
        // The receiver is gone if the request was cancelled.
        drop(sender.send(work()));
    };
    jobs()?.try_send(Box::new(job)).ok()?;
    done.await.ok()
}

/// The jobs of the thread, which the first of them starts.
fn jobs() -> Option<SyncSender<Job>> {
    let mut jobs = JOBS.lock();
    if jobs.is_none() {
        let (sender, receiver) = sync_channel(MAX_WAITING_JOBS);
        let thread = Builder::new().name("oam-decode".to_owned());
        thread.spawn(move || run_all(&receiver)).ok()?;
        *jobs = Some(sender);
    }
    jobs.clone()
}

fn run_all(jobs: &Receiver<Job>) {
    for job in jobs {
        // The thread outlives a panic: that of a handler was caught before, but a result that is not taken may panic when
        // it is dropped. The future that waits sees the end of its sender.
        drop(catch_unwind(AssertUnwindSafe(job)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc::channel;

    use futures::FutureExt;

    use super::super::budget;
    use super::*;

    /// A result that panics when it is dropped.
    struct Panicking;

    impl Drop for Panicking {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[tokio::test]
    async fn work_runs_after_a_panic_of_earlier_work_and_of_a_result() {
        let _turn = budget::decoding_turn().await;
        assert_eq!(run(|| -> u32 { panic!("in the work") }).await, None);

        let (started, has_started) = channel();
        let (dropped, is_dropped) = channel::<()>();
        let untaken = run(move || {
            started.send(()).unwrap();
            assert!(is_dropped.recv().is_err());
            Panicking
        });
        assert!(untaken.now_or_never().is_none());
        has_started.recv().unwrap();
        drop(dropped);
        assert_eq!(run(|| 1).await, Some(1));
    }
}
