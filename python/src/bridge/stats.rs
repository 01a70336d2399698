//! The state of the bridge, for tests.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use super::counters::{ITEMS, RUNNING_REQUESTS, WAKE_UPS};
use super::{event_loop, pending};

/// Counters of this process for tests.
#[pyfunction]
pub(crate) fn bridge_stats() -> HashMap<&'static str, u64> {
    HashMap::from([
        ("pending", pending::count() as u64),
        ("queues", event_loop::count() as u64),
        ("wakeups", WAKE_UPS.load(Ordering::Relaxed)),
        ("items", ITEMS.load(Ordering::Relaxed)),
        ("requests", RUNNING_REQUESTS.load(Ordering::Relaxed)),
    ])
}
