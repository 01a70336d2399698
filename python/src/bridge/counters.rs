//! Counters of the bridge.

use std::sync::atomic::AtomicU64;

/// Wake-ups of event loops.
pub(super) static WAKE_UPS: AtomicU64 = AtomicU64::new(0);

/// Items that event loops have run.
pub(super) static ITEMS: AtomicU64 = AtomicU64::new(0);

/// Requests whose handlers run.
pub(crate) static RUNNING_REQUESTS: AtomicU64 = AtomicU64::new(0);
