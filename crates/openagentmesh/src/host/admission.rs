//! Limits of an agent: how many requests may be in flight, and how many of them may run.

use std::num::NonZeroUsize;
use std::sync::Arc;

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
}

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
