//! Work that concurrent callers share.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared, ready};
use openagentmesh_protocol::ErrorCode;
use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;

use super::sync::Mutex;
use crate::error::{Error, Result};

/// Work of which one run at a time serves all who need it.
///
/// Work that has to wait goes on in a task, and not in the future of the caller who begins it: a caller may stop to poll
/// its future, as in one branch of a `select!` while another one runs, and a lock in it would keep all others waiting.
/// The task is aborted when no caller is left.
pub(crate) struct SingleFlight<T>(Mutex<Option<Flight<T>>>);

struct Flight<T> {
    result: WeakShared<BoxFuture<'static, Option<T>>>,
    task: AbortHandle,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Joins the run in progress, or begins one. Must be called in a tokio runtime.
    pub(crate) fn join<F>(&self, work: impl FnOnce() -> F) -> Joined<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flight = self.0.lock();
        let current = flight.as_ref().filter(|flight| !flight.task.is_finished());
        if let Some(result) = current.and_then(|flight| flight.result.upgrade()) {
            let is_own = false;
            return Joined { result, is_own };
        }
        let mut work = work().boxed();
        // Work that does not wait, such as most subscriptions, needs no task.
        let result = match work.as_mut().now_or_never() {
            Some(done) => ready(Some(done)).boxed().shared(),
            None => {
                let task = AbortOnDropHandle::new(tokio::spawn(work));
                let abort = task.abort_handle();
                let result = task.map(|done| done.ok()).boxed().shared();
                *flight = result.downgrade().map(|result| Flight {
                    result,
                    task: abort,
                });
                result
            }
        };
        let is_own = true;
        Joined { result, is_own }
    }
}

/// The outcome of a run that may fail. The error is for the caller who has begun it.
pub(crate) type Outcome = std::result::Result<(), Arc<Mutex<Option<Error>>>>;

impl SingleFlight<Outcome> {
    /// Returns what `ready` has, and runs `work` until it has something.
    ///
    /// # Errors
    ///
    /// That of `work`. A caller who has waited for a run of another one that has failed begins one itself.
    pub(crate) async fn until_ready<T, F>(
        &self,
        ready: impl Fn() -> Option<T>,
        work: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        loop {
            if let Some(ready) = ready() {
                return Ok(ready);
            }
            let joined = self.join(|| {
                work().map(|done| done.map_err(|error| Arc::new(Mutex::new(Some(error)))))
            });
            let is_own = joined.is_own;
            if let Err(failure) = joined.done().await?
                && is_own
                && let Some(error) = failure.lock().take()
            {
                return Err(error);
            }
        }
    }
}

/// A run that a caller takes part in.
pub(crate) struct Joined<T> {
    result: Shared<BoxFuture<'static, Option<T>>>,
    /// Whether this caller has begun it.
    pub(crate) is_own: bool,
}

impl<T: Clone + Send + Sync + 'static> Joined<T> {
    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the runtime shuts down.
    pub(crate) async fn done(self) -> Result<T> {
        self.result.await.ok_or_else(|| {
            let message = "the request was ended: its runtime shuts down";
            Error::raised(ErrorCode::ConnectionFailed, message)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn caller_that_is_not_polled_delays_no_other() {
        let flight = SingleFlight::default();
        let begun = flight.join(|| async {
            tokio::task::yield_now().await;
            7
        });
        let joined = flight.join(|| async { 8 });
        assert!(begun.is_own && !joined.is_own);
        assert_eq!(joined.done().await.unwrap(), 7);
        assert_eq!(begun.done().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn finished_run_is_not_joined() {
        let flight = SingleFlight::default();
        let yielding = |number| async move {
            tokio::task::yield_now().await;
            number
        };
        let first = flight.join(|| yielding(1));
        flight.join(|| yielding(2)).done().await.unwrap();
        let second = flight.join(|| yielding(3));
        assert!(second.is_own);
        assert_eq!(first.done().await.unwrap(), 1);
        assert_eq!(second.done().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn failure_is_that_of_the_caller_who_has_begun() {
        let flight = SingleFlight::default();
        let attempts = Arc::new(AtomicUsize::new(0));
        let ready = || (attempts.load(Ordering::Relaxed) > 1).then_some(());
        let attempt = || {
            let attempts = Arc::clone(&attempts);
            async move {
                match attempts.fetch_add(1, Ordering::Relaxed) {
                    0 => Err(Error::new("once", "failed once")),
                    _ => Ok(()),
                }
            }
        };
        let first = flight.until_ready(ready, attempt);
        let second = flight.until_ready(ready, attempt);
        let (first, second) = tokio::join!(first, second);
        assert!(first.unwrap_err().is("once"));
        second.unwrap();
        assert_eq!(attempts.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn run_ends_with_its_last_caller() {
        let (flight, dropped) = (SingleFlight::default(), Arc::new(Notify::new()));
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let guard = NotifyOnDrop(Arc::clone(&dropped));
        let first = flight.join(|| async move {
            let _guard = guard;
            count.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
        let second = flight.join(|| async {});
        assert!(!second.is_own);
        drop(first);
        tokio::task::yield_now().await;
        drop(second);
        dropped.notified().await;
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert!(flight.join(|| async {}).is_own);
    }

    struct NotifyOnDrop(Arc<Notify>);

    impl Drop for NotifyOnDrop {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
}
