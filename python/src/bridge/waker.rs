//! Waking an event loop from another thread.

use pyo3::prelude::*;

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
    /// Makes the event loop run the items of its queue soon. `call_soon` does so by [`Self::call_soon`], attached to Python.
    pub(super) fn wake(&self, call_soon: impl FnOnce(Python<'_>) + Send + 'static) {
        match self {
            #[cfg(unix)]
            Self::Socket(socket) => {
                use std::io::Write;
                // The queue wakes once until its items have run, so that the socket never holds more than one byte. A
                // failure means that the loop is closed.
                let _ = (&*socket).write(&[1]);
            }
            Self::CallSoon(_) => {
                if let Ok(runtime) = runtime::get() {
                    runtime.spawn_blocking(move || Python::try_attach(call_soon));
                }
            }
        }
    }

    /// Calls `drain` on the event loop, if this waker does so by the loop's own function. `false` if the loop is closed.
    pub(super) fn call_soon(&self, py: Python<'_>, drain: Bound<'_, PyAny>) -> bool {
        match self {
            #[cfg(unix)]
            Self::Socket(_) => true,
            Self::CallSoon(call_soon) => call_soon.call1(py, (drain,)).is_ok(),
        }
    }
}
