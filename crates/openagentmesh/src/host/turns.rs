//! Making chunks or events one after another, without keeping those that are made.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::agent::Chunks;
use crate::error::BoxError;

/// For how long the first one may wait for others, and for how long those after it.
const FIRST: Duration = Duration::from_micros(50);
const LATER: Duration = Duration::from_micros(200);

/// Sees to it that what is sent leaves soon, though the next is made at once.
///
/// The connection's task is woken by what is sent, and may only run when the task that makes the next
/// gives its thread back. If that happened each time, everything would be written on its own; if it
/// only happened when the runtime asks for it, what takes its time to be made would wait for a
/// hundred others.
pub(super) struct Turns {
    /// Since when the thread is held. `None` while it is not.
    since: Option<Instant>,
    longest: Duration,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            since: None,
            longest: FIRST,
        }
    }

    /// The next one to be sent.
    pub(super) async fn next(&mut self, chunks: &mut Chunks) -> Option<Result<Bytes, BoxError>> {
        let next = poll_fn(|context| {
            self.since.get_or_insert_with(Instant::now);
            let next = chunks.poll_next_unpin(context);
            if next.is_pending() {
                self.since = None;
            }
            next
        });
        next.await
    }

    /// Lets what was sent leave, if it is time.
    pub(super) async fn end_one(&mut self) {
        if self
            .since
            .is_some_and(|since| since.elapsed() > self.longest)
        {
            (self.since, self.longest) = (None, LATER);
            yield_now().await;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::{FutureExt, stream};

    use super::*;

    /// Chunks that each take so long to be made.
    fn chunks(each: Duration) -> Chunks {
        let chunk = move || {
            // It passes at once; only then does it wait.
            let _ = tokio::time::advance(each).now_or_never();
            Ok(Bytes::new())
        };
        stream::repeat_with(chunk).boxed()
    }

    /// How many are sent until the thread is given back.
    fn sent_in_one_go(turns: &mut Turns, chunks: &mut Chunks) -> usize {
        let mut sent = 0;
        let sending = async {
            loop {
                turns.next(chunks).await.unwrap().unwrap();
                sent += 1;
                turns.end_one().await;
            }
        };
        let sent_all: Option<()> = sending.now_or_never();
        assert!(sent_all.is_none());
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_its_time_leaves_alone() {
        let (mut turns, mut chunks) = (Turns::new(), chunks(LATER * 2));
        for _ in 0..10 {
            assert_eq!(sent_in_one_go(&mut turns, &mut chunks), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_made_quickly_leaves_together_but_for_the_first() {
        let mut turns = Turns::new();
        let mut chunks = chunks(Duration::from_micros(11));
        assert_eq!(sent_in_one_go(&mut turns, &mut chunks), 5);
        assert_eq!(sent_in_one_go(&mut turns, &mut chunks), 19);
    }
}
