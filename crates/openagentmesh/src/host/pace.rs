//! Where a request is run.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// A handler that holds a thread for longer has tasks of its own: others wait behind it otherwise.
const MOMENT: Duration = Duration::from_micros(20);
/// How many requests are given tasks of their own after one that took longer; then twice as many each
/// time that it happens again.
const CAUTION: u32 = 32;
const MOST_CAUTION: u32 = 4096;

/// Decides it by how long the agent's requests hold a thread.
///
/// Most handlers either answer in a moment or wait for something soon. To begin them where they
/// arrive saves a task for each request that never waits, and the replies of requests that arrive
/// together leave together. Whatever does wait goes on in a task of its own.
#[derive(Default)]
pub(super) struct Pace {
    /// How many requests are not to be begun here.
    spawn: u32,
    caution: u32,
}

impl Pace {
    /// Runs what `serve` makes of the time of now.
    pub(super) fn run<F>(&mut self, tasks: &TaskTracker, serve: impl FnOnce(Instant) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let begun = Instant::now();
        let mut serving = serve(begun).boxed();
        if self.spawn > 0 {
            self.spawn -= 1;
            tasks.spawn(serving);
            return;
        }
        // Nothing wakes it from here: the task into which it goes polls it again.
        let polled = serving.poll_unpin(&mut Context::from_waker(Waker::noop()));
        if polled == Poll::Pending {
            tasks.spawn(serving);
        }
        self.caution = if begun.elapsed() > MOMENT {
            (self.caution * 2).clamp(CAUTION, MOST_CAUTION)
        } else {
            0
        };
        self.spawn = self.caution;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn hold_the_thread() {
        let until = std::time::Instant::now() + MOMENT * 2;
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn what_holds_a_thread_gets_tasks_of_its_own() {
        let (mut pace, tasks) = (Pace::default(), TaskTracker::new());
        let done = Arc::new(AtomicUsize::new(0));
        let slow = || {
            let done = Arc::clone(&done);
            async move {
                hold_the_thread();
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        pace.run(&tasks, |_| slow());
        assert_eq!(done.load(Ordering::Relaxed), 1, "the first is begun here");
        assert!(tasks.is_empty());
        for later in 1..=CAUTION as usize {
            pace.run(&tasks, |_| slow());
            assert_eq!((done.load(Ordering::Relaxed), tasks.len()), (1, later));
        }
        pace.run(&tasks, |_| slow());
        assert_eq!(done.load(Ordering::Relaxed), 2, "it is tried again");
        assert_eq!(pace.spawn, 2 * CAUTION, "and more carefully then");
        tasks.close();
        tasks.wait().await;
        assert_eq!(done.load(Ordering::Relaxed), 2 + CAUTION as usize);
    }

    #[tokio::test]
    async fn what_waits_goes_on_in_a_task() {
        let (mut pace, tasks) = (Pace::default(), TaskTracker::new());
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        pace.run(&tasks, |_| async { drop(waits.await) });
        assert_eq!(tasks.len(), 1);
        drop(go_on);
        tasks.close();
        tasks.wait().await;
    }
}
