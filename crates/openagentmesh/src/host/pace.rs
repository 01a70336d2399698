//! Where a request is begun.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Who holds a thread for longer lets others wait.
const MOMENT: Duration = Duration::from_micros(20);
/// How many requests in a row must have held their threads for no longer until the next one is begun
/// where it arrives; twice as many each time that one does, and half as many once four times as many
/// did not.
const FIRST_PROOF: u32 = 16;
const LONGEST_PROOF: u32 = 64 * 1024;

/// Decides by how long the agent's requests hold a thread at first whether they are begun where they
/// arrive or in tasks of their own.
///
/// Most handlers either answer in a moment or wait for something soon. To begin them where they
/// arrive saves a task for each request that never waits, and the replies of requests that arrive
/// together leave together. Whatever does wait goes on in a task of its own. But a handler that computes
/// or blocks would hold up all requests behind it, and so those of every agent begin in tasks until they
/// have proven quick.
#[derive(Clone)]
pub(super) struct Pace(Arc<Record>);

struct Record {
    /// How many in a row were quick.
    quick: AtomicU32,
    /// How many must have been.
    proof: AtomicU32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self(Arc::new(Record {
            quick: AtomicU32::new(0),
            proof: AtomicU32::new(FIRST_PROOF),
        }))
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
        self.0.quick.load(Ordering::Relaxed) >= self.0.proof.load(Ordering::Relaxed)
    }

    /// Takes in how long a request held its thread until it waited or was answered. Requests that tell
    /// it at the same time may cover up each other, which changes a decision at most.
    fn learn(&self, held: Duration) {
        let Record { quick, proof } = &*self.0;
        let needed = proof.load(Ordering::Relaxed);
        if held > MOMENT {
            quick.store(0, Ordering::Relaxed);
            proof.store((needed * 2).min(LONGEST_PROOF), Ordering::Relaxed);
        } else if quick.fetch_add(1, Ordering::Relaxed) >= needed * 4 {
            quick.store(needed, Ordering::Relaxed);
            proof.store((needed / 2).max(FIRST_PROOF), Ordering::Relaxed);
        }
    }
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
        for _ in 0..FIRST_PROOF {
            assert!(!pace.is_quick(), "that is not known yet");
            pace.run(&tasks, slow()).unwrap();
        }
        assert_eq!(tasks.len(), FIRST_PROOF as usize);
        tasks.close();
        tasks.wait().await;
        assert!(!pace.is_quick());
        assert!(pace.0.proof.load(Ordering::Relaxed) > FIRST_PROOF);
    }

    #[tokio::test]
    async fn one_that_holds_it_ends_the_proof_of_the_others() {
        let (pace, tasks) = (Pace::new(), TaskTracker::new());
        prove(&pace, &tasks).await;
        tasks.close();
        tasks.wait().await;
        pace.run(&tasks, slow()).unwrap();
        assert!(tasks.is_empty(), "it was begun here");
        assert!(!pace.is_quick());
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
