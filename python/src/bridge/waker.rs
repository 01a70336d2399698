//! Waking an event loop from another thread.

use std::sync::Arc;

use pyo3::prelude::*;

use super::event_loop::{Drain, LoopQueue};
use crate::runtime;

/// Wakes one event loop.
pub(super) enum Waker {
    /// A socket that the loop reads. Writing to it takes no GIL, so that no task waits for Python code.
    #[cfg(unix)]
    Socket(std::os::unix::net::UnixStream),
    /// The loop's own `call_soon_threadsafe`, for loops that read no sockets.
    CallSoon(Py<PyAny>),
}

impl Waker {
    /// Makes the event loop run the items of `queue` soon.
    pub(super) fn wake(&self, queue: &Arc<LoopQueue>) {
        match self {
            #[cfg(unix)]
            Self::Socket(socket) => {
                use std::io::Write;
                // The queue wakes once until its items have run, so that the socket never holds more than one byte. A
                // failure means that the loop is closed.
                let _ = (&*socket).write(&[1]);
            }
            Self::CallSoon(_) => {
                let queue = Arc::clone(queue);
                if let Ok(runtime) = runtime::get() {
                    runtime.spawn_blocking(move || {
                        Python::try_attach(|py| queue.call_soon(py));
                    });
                }
            }
        }
    }

    /// Calls `drain` on the event loop, if this waker does so by the loop's own function. `false` if the loop is closed.
    pub(super) fn call_soon(&self, py: Python<'_>, drain: Drain) -> bool {
        match self {
            #[cfg(unix)]
            Self::Socket(_) => true,
            Self::CallSoon(call_soon) => call_soon.call1(py, (drain,)).is_ok(),
        }
    }
}
