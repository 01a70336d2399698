//! Limits of an agent: how many requests may be in flight, and how many of them may run.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The limits of one agent at this host, and their use.
pub(super) struct Admission {
    /// How many requests may run at once.
    concurrency: usize,
    /// How many requests may be in flight, which is to run or to wait in the queue.
    limit: usize,
    /// One permit for each request that may be in flight; never closed.
    admitted: Arc<Semaphore>,
    /// One permit for each request that may run; never closed.
    running: Semaphore,
    /// The moving average of the time that a request runs, in microseconds; 0 before the first has ended.
    mean_run_us: AtomicU64,
}

/// The limits of the time after which the caller of a refused request should try again, in milliseconds.
const RETRY_AFTER_LIMITS_MS: [u64; 2] = [20, 10_000];
/// The time while no request has ended yet, in milliseconds.
const DEFAULT_RETRY_AFTER_MS: u64 = 200;

impl Admission {
    pub(super) fn new(concurrency: NonZeroUsize, queue: usize) -> Arc<Self> {
        let concurrency = concurrency.get().min(Semaphore::MAX_PERMITS);
        let limit = concurrency
            .saturating_add(queue)
            .min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            concurrency,
            limit,
            admitted: Arc::new(Semaphore::new(limit)),
            running: Semaphore::new(concurrency),
            mean_run_us: AtomicU64::new(0),
        })
    }

    /// Admits one request.
    ///
    /// # Errors
    ///
    /// The number of requests in flight, when no further one is allowed.
    pub(super) fn admit(&self) -> Result<AdmissionPermit, usize> {
        let permit = Arc::clone(&self.admitted).try_acquire_owned();
        permit.map_err(|_| self.limit)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.limit.saturating_sub(self.admitted.available_permits())
    }

    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Counts a request that ran for `time`.
    pub(super) fn count_run(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let mean = self.mean_run_us.load(Ordering::Relaxed);
        let mean = match mean {
            0 => time,
            // A race loses one of two values, which does not matter for an average.
            _ => mean - mean / 8 + time / 8,
        };
        self.mean_run_us.store(mean, Ordering::Relaxed);
    }

    /// The time in which half of the requests in flight end at the present rate, in milliseconds.
    pub(super) fn retry_after_ms(&self) -> u64 {
        let mean = self.mean_run_us.load(Ordering::Relaxed);
        if mean == 0 {
            return DEFAULT_RETRY_AFTER_MS;
        }
        let rounds = self.in_flight().div_ceil(2 * self.concurrency);
        let rounds = u64::try_from(rounds).unwrap_or(u64::MAX);
        let [min, max] = RETRY_AFTER_LIMITS_MS;
        (mean.saturating_mul(rounds) / 1000).clamp(min, max)
    }

    /// A permit to run, if one is free now.
    pub(super) fn try_run(&self) -> Option<SemaphorePermit<'_>> {
        self.running.try_acquire().ok()
    }

    /// Waits for a permit to run; waiting requests are served in their order. Cancel-safe.
    pub(super) async fn run(&self) -> SemaphorePermit<'_> {
        match self.running.acquire().await {
            Ok(permit) => permit,
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The maximum size of the requests that wait in the queues of all agents of a process, in bytes.
pub(super) const MAX_QUEUED_BYTES: u32 = 64 * 1024 * 1024;

/// The memory for waiting requests, one permit per byte; shared by all agents of a process.
pub(super) fn queue_budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_QUEUED_BYTES as usize))
}

/// Reserves memory for a waiting request of `bytes` bytes; `None` when the budget is used up.
pub(super) fn reserve(budget: &Semaphore, bytes: usize) -> Option<SemaphorePermit<'_>> {
    let bytes = u32::try_from(bytes).unwrap_or(MAX_QUEUED_BYTES);
    budget.try_acquire_many(bytes.min(MAX_QUEUED_BYTES)).ok()
}

/// Counts one request as in flight until it is dropped.
pub(super) type AdmissionPermit = OwnedSemaphorePermit;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn admission(concurrency: usize, queue: usize) -> Arc<Admission> {
        Admission::new(NonZeroUsize::new(concurrency).unwrap(), queue)
    }

    #[test]
    fn admit_beyond_concurrency_and_queue_is_refused_until_a_permit_is_dropped() {
        let admission = admission(2, 1);
        let mut permits: Vec<_> = (0..3).map(|_| admission.admit().unwrap()).collect();
        assert_eq!(admission.admit().err(), Some(3));
        permits.pop();
        assert_eq!(admission.in_flight(), 2);
        assert!(admission.admit().is_ok());
    }

    #[test]
    fn admit_with_the_largest_queue_does_not_overflow() {
        assert!(admission(usize::MAX, usize::MAX).admit().is_ok());
    }

    #[test]
    fn retry_after_follows_the_requests_in_flight_and_their_time() {
        let admission = admission(2, 18);
        assert_eq!(admission.retry_after_ms(), DEFAULT_RETRY_AFTER_MS);
        admission.count_run(Duration::from_millis(100));
        let _permits: Vec<_> = (0..20).map(|_| admission.admit().unwrap()).collect();
        assert_eq!(admission.retry_after_ms(), 500);
        (0..100).for_each(|_| admission.count_run(Duration::from_nanos(1)));
        assert_eq!(admission.retry_after_ms(), RETRY_AFTER_LIMITS_MS[0]);
        (0..100).for_each(|_| admission.count_run(Duration::from_secs(3600)));
        assert_eq!(admission.retry_after_ms(), RETRY_AFTER_LIMITS_MS[1]);
    }

    #[tokio::test]
    async fn run_waits_until_a_running_request_ends() {
        let admission = admission(1, 1);
        let first = admission.try_run().unwrap();
        assert!(admission.try_run().is_none());
        let waiting = admission.run();
        drop(first);
        drop(waiting.await);
        assert!(admission.try_run().is_some());
    }
}
