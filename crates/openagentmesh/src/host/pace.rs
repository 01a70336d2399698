//! Where a request is begun.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::transport::debt::Debt;

/// A handler that holds a thread for no longer lets nobody wait.
const MOMENT: Duration = Duration::from_micros(20);
/// How many quick requests must have come before the first is begun where it arrives.
const PROOF: u32 = 16;
/// How many quick requests excuse a slow one.
const EXCUSE: u32 = 256;

/// Decides by how long the agent's handler holds a thread at first whether requests are begun where they
/// arrive or in tasks of their own.
///
/// Most handlers either answer in a moment or wait for something soon. To begin them where they
/// arrive saves a task for each request that never waits, and the replies of requests that arrive
/// together leave together. Whatever does wait goes on in a task of its own. But a handler that computes
/// or blocks would hold up all requests behind it. So every agent has a [`Debt`]: a request whose
/// handler holds its thread for longer than a moment adds to it, each other one repays some of it, and while
/// there is any, requests begin in tasks.
pub(super) struct Pace(Debt);

impl Pace {
    pub(super) fn new() -> Self {
        Self(Debt::new(PROOF, EXCUSE))
    }

    /// Runs a request. `Err` is its panic, which ends nothing else.
    pub(super) fn run(
        &self,
        tasks: &TaskTracker,
        mut request: BoxFuture<'static, ()>,
    ) -> Result<(), Box<dyn Any + Send>> {
        if self.0.is_repaid() {
            // Nothing wakes it from here: the task into which it goes polls it again.
            let mut context = Context::from_waker(Waker::noop());
            let begun = AssertUnwindSafe(|| request.poll_unpin(&mut context));
            if catch_unwind(begun)?.is_ready() {
                return Ok(());
            }
        }
        tasks.spawn(request);
        Ok(())
    }

    /// Begins to look at how long a request holds its thread.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch {
            pace: self,
            begun: Some(Instant::now()),
        }
    }

    /// Takes in how long a request held its thread until it waited or had an output.
    fn learn(&self, held: Duration) {
        if held <= MOMENT {
            self.0.repay();
            self.0.succeed();
        } else {
            self.0.fail(held, held);
        }
    }
}

/// Sees how long a request holds its thread, from the reading of its input until it waits or its output, or
/// first chunk, is there. What comes before and after is the same for all agents, and rather the system's
/// time: whoever sends a reply wakes somebody, who may be given this thread's processor.
pub(super) struct Watch<'p> {
    pace: &'p Pace,
    /// `None` once it was told.
    begun: Option<Instant>,
}

impl Watch<'_> {
    /// Runs `handler`, whose first wait ends what is seen.
    pub(super) fn until_it_waits<F: Future>(
        &mut self,
        mut handler: Pin<&mut F>,
    ) -> impl Future<Output = F::Output> {
        poll_fn(move |context| {
            let polled = handler.as_mut().poll(context);
            self.end();
            polled
        })
    }

    fn end(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.pace.learn(begun.elapsed());
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use super::*;

    /// A request whose handler is `handler`.
    fn request(
        pace: &Arc<Pace>,
        handler: impl Future<Output = ()> + Send + 'static,
    ) -> BoxFuture<'static, ()> {
        let pace = Arc::clone(pace);
        async move { pace.watch().until_it_waits(pin!(handler)).await }.boxed()
    }

    fn quick(pace: &Arc<Pace>) -> BoxFuture<'static, ()> {
        request(pace, async {})
    }

    fn slow(pace: &Arc<Pace>) -> BoxFuture<'static, ()> {
        request(pace, async { hold(MOMENT * 2) })
    }

    /// Lets time pass without giving the thread back.
    fn hold(time: Duration) {
        // It passes at once; only then does it wait.
        let _ = tokio::time::advance(time).now_or_never();
    }

    /// A pace at which requests are begun where they arrive.
    fn proven() -> Arc<Pace> {
        let pace = Pace::new();
        while !pace.0.is_repaid() {
            pace.learn(Duration::ZERO);
        }
        Arc::new(pace)
    }

    async fn all_end(tasks: &TaskTracker) {
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_a_thread_is_begun_in_tasks() {
        let (pace, tasks) = (Arc::new(Pace::new()), TaskTracker::new());
        for _ in 0..PROOF {
            assert!(!pace.0.is_repaid(), "that is not known yet");
            pace.run(&tasks, slow(&pace)).unwrap();
        }
        assert_eq!(tasks.len(), PROOF as usize);
        all_end(&tasks).await;
        assert!(!pace.0.is_repaid());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_is_begun_where_it_arrives() {
        let (pace, tasks) = (Arc::new(Pace::new()), TaskTracker::new());
        for _ in 0..PROOF {
            pace.run(&tasks, quick(&pace)).unwrap();
        }
        assert_eq!(tasks.len(), PROOF as usize, "that is not known yet");
        all_end(&tasks).await;
        pace.run(&tasks, quick(&pace)).unwrap();
        pace.run(&tasks, slow(&pace)).unwrap();
        assert!(tasks.is_empty());
        pace.run(&tasks, quick(&pace)).unwrap();
        assert_eq!(tasks.len(), 1, "the slow one is not repaid yet");
        all_end(&tasks).await;
        pace.run(&tasks, quick(&pace)).unwrap();
        assert!(tasks.is_empty(), "now it is");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_until_it_waits_counts() {
        let (pace, tasks) = (proven(), TaskTracker::new());
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        let blocks_later = async {
            drop(waits.await);
            hold(MOMENT * 2);
        };
        pace.run(&tasks, request(&pace, blocks_later)).unwrap();
        assert_eq!(tasks.len(), 1, "it goes on in a task");
        drop(go_on);
        all_end(&tasks).await;
        assert!(pace.0.is_repaid());
    }

    #[tokio::test]
    async fn a_panic_ends_nothing_else() {
        let (pace, tasks) = (proven(), TaskTracker::new());
        let panic = async { std::panic::resume_unwind(Box::new("on purpose")) };
        pace.run(&tasks, panic.boxed()).unwrap_err();
    }
}
