//! The operations whose futures have no result yet.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use futures::future::AbortHandle;
use pyo3::prelude::*;

use crate::sync::lock;

/// An operation whose future has no result yet.
pub(super) struct Pending {
    pub(super) future: Py<PyAny>,
    /// `None` for a future that no task of its own resolves.
    pub(super) task: Option<AbortHandle>,
    /// The queue of the future's event loop.
    pub(super) queue: u64,
}

/// The pending operations by their ids. Entries are dropped without the lock: a drop may run Python code.
static PENDING: LazyLock<Mutex<HashMap<u64, Pending>>> = LazyLock::new(Mutex::default);

pub(super) fn insert(id: u64, operation: Pending) {
    let previous = lock(&PENDING).insert(id, operation);
    drop(previous);
}

pub(super) fn remove(id: u64) -> Option<Pending> {
    lock(&PENDING).remove(&id)
}

/// Aborts the operations of a closed event loop.
pub(super) fn abandon(queue: u64) {
    let abandoned: Vec<Pending> = {
        let mut pending = lock(&PENDING);
        let abandoned = pending.extract_if(|_, operation| operation.queue == queue);
        abandoned.map(|(_, operation)| operation).collect()
    };
    for operation in &abandoned {
        if let Some(task) = &operation.task {
            task.abort();
        }
    }
}

/// The number of pending operations.
pub(super) fn count() -> usize {
    lock(&PENDING).len()
}
