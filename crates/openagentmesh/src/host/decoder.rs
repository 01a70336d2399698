//! Threads that decode and check large inputs.
//!
//! The threads are this process's own instead of the runtime's: an allocator keeps the memory that a thread has
//! freed for the thread. The allocator of glibc gives it back only when the same thread frees a large piece, so
//! that few threads take it, and each frees such a piece after its work.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The maximum number of threads.
const MAX_THREADS: usize = 2;

/// Bytes of the piece that is freed so that the allocator gives memory back: more than 64 KiB, where glibc
/// begins to look for free memory, and less than 128 KiB, where it takes pieces from the system.
const FREED_BYTES: usize = 96 * 1024;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    /// Bounded by the [budget](super::budget): work is added by requests that hold a share.
    waiting: VecDeque<Work>,
    /// Counts the requests to give memory back.
    releases: u64,
}

static STATE: Mutex<State> = Mutex::new(State {
    waiting: VecDeque::new(),
    releases: 0,
});
static CHANGED: Condvar = Condvar::new();

/// The number of threads that run.
static THREADS: LazyLock<usize> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let start = |_: &usize| {
        let thread = std::thread::Builder::new().name("oam-decode".to_owned());
        thread.spawn(work).is_ok()
    };
    (0..cores.min(MAX_THREADS)).filter(start).count()
});

/// Runs `work` on one of the threads; in the current one if the system starts none. `None` if `work` panicked.
///
/// Cancel-safe: work that was added runs to its end.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if *THREADS == 0 {
        return Some(work());
    }
    let (sender, done) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let _entered = runtime.enter();
        let result = work();
        // The request may have been cancelled.
        drop(sender.send(result));
    };
    state().waiting.push_back(Box::new(work));
    CHANGED.notify_one();
    done.await.ok()
}

/// Makes the threads give freed memory back to the system, after large inputs have been dropped.
pub(super) fn release_memory() {
    state().releases += 1;
    CHANGED.notify_all();
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop of a thread.
fn work() {
    let mut released = 0;
    loop {
        let mut state = state();
        let work = loop {
            if let Some(work) = state.waiting.pop_front() {
                break Some(work);
            }
            if state.releases != released {
                released = state.releases;
                break None;
            }
            state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        if let Some(work) = work {
            // The panic of a handler was caught before. The request's side sees that its sender was dropped.
            drop(catch_unwind(AssertUnwindSafe(work)));
        }
        free_a_large_piece();
    }
}

fn free_a_large_piece() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(FREED_BYTES)));
}
