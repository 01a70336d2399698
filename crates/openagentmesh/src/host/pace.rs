//! Where a request is begun.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// A request that holds a thread for no longer lets nobody wait, and repays as much of a debt.
const MOMENT: Duration = Duration::from_micros(20);
/// With what an agent begins: 16 quick requests have to come first.
const FIRST_DEBT: Duration = MOMENT.saturating_mul(16);
/// What is owed at most, so that one that once hung for long may be quick again.
const GREATEST_DEBT: Duration = Duration::from_secs(1);

/// Decides by how long the agent's requests hold a thread at first whether they are begun where they
/// arrive or in tasks of their own.
///
/// Most handlers either answer in a moment or wait for something soon. To begin them where they
/// arrive saves a task for each request that never waits, and the replies of requests that arrive
/// together leave together. Whatever does wait goes on in a task of its own. But a handler that computes
/// or blocks would hold up all requests behind it. So every agent has a debt of time: a request that
/// holds its thread for longer than a moment adds to it, each other one repays a moment, and while there is
/// any, requests begin in tasks. However handlers behave, those behind them wait for a moment each
/// on average.
#[derive(Clone)]
pub(super) struct Pace {
    /// What is owed, in nanoseconds.
    debt: Arc<AtomicU64>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            debt: Arc::new(AtomicU64::new(nanoseconds(FIRST_DEBT))),
        }
    }

    /// Runs a request. `Err` is its panic, which ends nothing else.
    pub(super) fn run(
        &self,
        tasks: &TaskTracker,
        mut request: BoxFuture<'static, ()>,
    ) -> Result<(), Box<dyn Any + Send>> {
        if !self.is_quick() {
            tasks.spawn(Begun {
                request,
                pace: Some(self.clone()),
            });
            return Ok(());
        }
        let begun = Instant::now();
        // Nothing wakes it from here: the task into which it goes polls it again.
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| request.poll_unpin(&mut context)))?;
        self.learn(begun.elapsed());
        if polled == Poll::Pending {
            tasks.spawn(request);
        }
        Ok(())
    }

    fn is_quick(&self) -> bool {
        self.debt.load(Ordering::Relaxed) == 0
    }

    /// Takes in how long a request held its thread until it waited or was answered. Requests that tell
    /// it at the same time may cover up each other, which changes a decision at most.
    fn learn(&self, held: Duration) {
        let debt = self.debt.load(Ordering::Relaxed);
        if held > MOMENT {
            let debt = debt.saturating_add(nanoseconds(held));
            let debt = debt.min(nanoseconds(GREATEST_DEBT));
            self.debt.store(debt, Ordering::Relaxed);
        } else if debt > 0 {
            let debt = debt.saturating_sub(nanoseconds(MOMENT));
            self.debt.store(debt, Ordering::Relaxed);
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A request that is begun in a task of its own.
struct Begun {
    request: BoxFuture<'static, ()>,
    /// Whom to tell how long it held the thread, which is asked once.
    pace: Option<Pace>,
}

impl Future for Begun {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(pace) = self.pace.take() else {
            return self.request.poll_unpin(context);
        };
        let begun = Instant::now();
        let polled = self.request.poll_unpin(context);
        pace.learn(begun.elapsed());
        polled
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// As many requests as prove that they are quick.
    async fn prove(pace: &Pace, tasks: &TaskTracker) {
        while !pace.is_quick() {
            pace.run(tasks, std::future::ready(()).boxed()).unwrap();
            tokio::task::yield_now().await;
        }
    }

    fn slow() -> BoxFuture<'static, ()> {
        let slow = async {
            let until = std::time::Instant::now() + MOMENT * 2;
            while std::time::Instant::now() < until {
                std::hint::spin_loop();
            }
        };
        slow.boxed()
    }

    #[tokio::test]
    async fn what_holds_a_thread_is_begun_in_tasks() {
        let (pace, tasks) = (Pace::new(), TaskTracker::new());
        for _ in 0..16 {
            assert!(!pace.is_quick(), "that is not known yet");
            pace.run(&tasks, slow()).unwrap();
        }
        assert_eq!(tasks.len(), 16);
        tasks.close();
        tasks.wait().await;
        assert!(!pace.is_quick());
    }

    #[tokio::test]
    async fn what_one_held_is_repaid_by_the_others() {
        let (pace, tasks) = (Pace::new(), TaskTracker::new());
        prove(&pace, &tasks).await;
        tasks.close();
        tasks.wait().await;
        pace.run(&tasks, slow()).unwrap();
        assert!(tasks.is_empty(), "it was begun here");
        assert!(!pace.is_quick());

        let pace = Pace::new();
        pace.learn(MOMENT * 1000);
        for _ in 0..16 + 1000 {
            assert!(!pace.is_quick());
            pace.learn(MOMENT);
        }
        assert!(pace.is_quick());
    }

    #[tokio::test]
    async fn a_debt_can_be_repaid() {
        let pace = Pace::new();
        for _ in 0..1000 {
            pace.learn(Duration::MAX);
        }
        assert_eq!(pace.debt.load(Ordering::Relaxed), 1_000_000_000);
    }

    #[tokio::test]
    async fn what_waits_goes_on_in_a_task() {
        let (pace, tasks) = (Pace::new(), TaskTracker::new());
        prove(&pace, &tasks).await;
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        pace.run(&tasks, async { drop(waits.await) }.boxed())
            .unwrap();
        drop(go_on);
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_panic_ends_nothing_else() {
        let (pace, tasks) = (Pace::new(), TaskTracker::new());
        prove(&pace, &tasks).await;
        let panic = async { std::panic::resume_unwind(Box::new("on purpose")) };
        pace.run(&tasks, panic.boxed()).unwrap_err();
    }
}
