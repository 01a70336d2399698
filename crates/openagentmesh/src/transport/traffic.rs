//! The bytes that a connection sends and receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::Statistics;

/// Content that is sent and not confirmed, until it is dropped.
pub(crate) struct OutgoingBytes {
    counter: Arc<AtomicUsize>,
    bytes: usize,
}

impl OutgoingBytes {
    /// Adds `bytes` to `counter`.
    pub(super) fn count(counter: &Arc<AtomicUsize>, bytes: usize) -> Self {
        counter.fetch_add(bytes, Ordering::Relaxed);
        Self {
            counter: Arc::clone(counter),
            bytes,
        }
    }
}

impl Drop for OutgoingBytes {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Measures whether bytes arrive on a connection: a large message on a slow link is under way then.
pub(crate) struct ReceiveProgress {
    statistics: Arc<Statistics>,
    seen: u64,
}

impl ReceiveProgress {
    /// The rate below which the received bytes are not those of a large message, in bytes per second.
    const MIN_BYTES_PER_SECOND: u64 = 512;

    /// Measures from now on.
    pub(super) fn start(statistics: Arc<Statistics>) -> Self {
        Self {
            seen: statistics.in_bytes.load(Ordering::Relaxed),
            statistics,
        }
    }

    /// Whether enough bytes have arrived in the last `interval`, since the call before.
    pub(crate) fn has_advanced(&mut self, interval: Duration) -> bool {
        let now = self.statistics.in_bytes.load(Ordering::Relaxed);
        let arrived = now.saturating_sub(std::mem::replace(&mut self.seen, now));
        arrived >= Self::MIN_BYTES_PER_SECOND.saturating_mul(interval.as_secs())
    }
}
