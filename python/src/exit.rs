//! The exit of the interpreter.
//!
//! Python ends a thread that wants the GIL after its exit, in the middle of the code that the thread runs. The frames of
//! this package cannot be ended so: the process would abort. Before the exit, the threads of the program therefore leave
//! them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// The longest time that the exit waits for the threads of the program.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The time between two looks at the threads.
const EXIT_INTERVAL: Duration = Duration::from_millis(1);

static IS_EXITING: AtomicBool = AtomicBool::new(false);

/// The threads of the program that run code of this package which lets go of the GIL.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// A thread of the program in code of this package.
pub(crate) struct Inside(());

/// Enters code that lets go of the GIL. `None` when the interpreter exits: the thread must not enter.
pub(crate) fn enter() -> Option<Inside> {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let inside = Inside(());
    (!is_begun()).then_some(inside)
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs `work` without the GIL, unless the interpreter exits: then with it, because no other thread may run.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    match enter() {
        Some(_inside) => py.detach(work),
        None => work(),
    }
}

/// Whether the interpreter exits.
pub(crate) fn is_begun() -> bool {
    IS_EXITING.load(Ordering::SeqCst)
}

/// Keeps threads from entering.
pub(crate) fn begin() {
    IS_EXITING.store(true, Ordering::SeqCst);
}

/// Waits until no thread is inside, for at most [`EXIT_TIMEOUT`].
pub(crate) fn wait_for_threads() {
    let end = Instant::now() + EXIT_TIMEOUT;
    while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        std::thread::sleep(EXIT_INTERVAL);
    }
}
