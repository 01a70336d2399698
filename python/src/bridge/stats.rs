//! Counters of the bridge, for tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

use super::{event_loop, operation};

/// Wake-ups of event loops.
pub(super) static WAKE_UPS: AtomicU64 = AtomicU64::new(0);

/// Items that event loops have run.
pub(super) static ITEMS: AtomicU64 = AtomicU64::new(0);

/// Requests whose handlers run.
pub(crate) static RUNNING_REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Counters of this process for tests.
#[pyfunction]
pub(crate) fn bridge_stats() -> HashMap<&'static str, u64> {
    HashMap::from([
        ("pending", operation::count() as u64),
        ("queues", event_loop::count() as u64),
        ("wakeups", WAKE_UPS.load(Ordering::Relaxed)),
        ("items", ITEMS.load(Ordering::Relaxed)),
        ("requests", RUNNING_REQUESTS.load(Ordering::Relaxed)),
    ])
}
