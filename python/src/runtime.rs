//! The async runtime of the process, started on first use.

use std::ops::Deref;
use std::sync::OnceLock;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// The most threads that run tasks: none of them runs Python code, so that more only contend for cores.
const MAX_WORKERS: usize = 4;

struct Started {
    /// The process whose threads run the tasks.
    process: u32,
    runtime: Runtime,
}

static RUNTIME: OnceLock<Started> = OnceLock::new();

/// The runtime.
///
/// # Errors
///
/// `RuntimeError` in a process that was forked after the runtime was started, `OSError` when threads cannot be
/// started.
pub(crate) fn get() -> PyResult<&'static Runtime> {
    if RUNTIME.get().is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.clamp(1, MAX_WORKERS))
            .thread_name("openagentmesh")
            .enable_all()
            .build()
            .map_err(|error| {
                PyOSError::new_err(format!("cannot start the threads of the mesh: {error}"))
            })?;
        // A runtime that another thread has started first is kept; this one ends without a wait.
        if let Err(second) = RUNTIME.set(Started {
            process: std::process::id(),
            runtime,
        }) {
            second.runtime.shutdown_background();
        }
    }
    match RUNTIME.get() {
        Some(started) if started.process == std::process::id() => Ok(&started.runtime),
        _ => Err(PyRuntimeError::new_err(
            "the mesh cannot be used in this process: it was forked after the first use of the mesh, and the mesh's \
             threads stayed in the parent; fork before the first use, or start processes with the method 'spawn'",
        )),
    }
}

/// Whether this process was forked from one that uses the mesh.
pub(crate) fn is_forked() -> bool {
    RUNTIME
        .get()
        .is_some_and(|started| started.process != std::process::id())
}

/// A value of the SDK, which is dropped within the runtime: its drop may start tasks.
///
/// In a forked process the value is leaked instead. Its locks may be held by threads that the process does not have, and
/// its resources, such as a local server, are those of the parent.
pub(crate) struct Guarded<T>(Option<T>);

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    #[expect(clippy::expect_used, reason = "only drop takes the value")]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("the value is there until drop")
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    #[expect(clippy::expect_used, reason = "only drop takes the value")]
    fn deref(&self) -> &T {
        self.0.as_ref().expect("the value is there until drop")
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else { return };
        dispose(value);
    }
}

/// Drops `value` as a [`Guarded`] value.
pub(crate) fn dispose<T>(value: T) {
    match RUNTIME.get() {
        Some(started) if started.process != std::process::id() => std::mem::forget(value),
        Some(started) => {
            let _entered = started.runtime.enter();
            drop(value);
        }
        None => drop(value),
    }
}
