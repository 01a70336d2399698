//! Making chunks or events one after another, and sending those together that are made in one turn.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::future::{Either, ready};
use futures::{FutureExt, StreamExt};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::agent::Chunks;
use crate::error::{BoxError, Result};
use crate::transport::{Publisher, Publishing};

/// For how long the first one may wait for others, and for how long those after it.
const FIRST: Duration = Duration::from_micros(50);
const LATER: Duration = Duration::from_micros(200);

/// Sees to it that what is made leaves soon, though the next is made at once.
///
/// The connection's task is woken by what is sent, and writes what there is by then. If each message were
/// sent when it is made, it would write some as soon as it finds a thread, and be woken again by the next.
/// So what is made is kept in the publisher until the turn is over, which is when nothing more is there or it
/// has lasted long enough; and then the thread is given back, so that it leaves.
pub(super) struct Turns {
    publisher: Arc<Publisher>,
    turn: Turn,
}

/// For how long the thread is held.
struct Turn {
    /// `None` while it is not.
    since: Option<Instant>,
    longest: Duration,
}

impl Turns {
    pub(super) fn new(publisher: &Arc<Publisher>) -> Self {
        Self {
            publisher: Arc::clone(publisher),
            turn: Turn::first(),
        }
    }

    /// What comes next. Before it is waited for, all that was made leaves.
    ///
    /// # Errors
    ///
    /// Those of [`leave`](Self::leave).
    pub(super) async fn next(
        &mut self,
        chunks: &mut Chunks,
    ) -> Result<Option<Result<Bytes, BoxError>>> {
        self.turn.begin();
        let at_once = poll_fn(|context| Poll::Ready(chunks.poll_next_unpin(context)));
        if let Poll::Ready(next) = at_once.await {
            return Ok(next);
        }
        let mut leaving = self.leave();
        match poll_fn(|context| Poll::Ready(leaving.poll_unpin(context))).await {
            // It must not be asked again at once: what only wanted to let others go on would never do so.
            Poll::Ready(left) => {
                drop(leaving);
                left?;
                give_back().await;
            }
            Poll::Pending => {
                leaving.await?;
            }
        }
        let next = chunks.next().await;
        self.turn.begin();
        Ok(next)
    }

    /// Publishes a message.
    ///
    /// # Errors
    ///
    /// `payload_too_large` when it does not fit the server, `connection_failed` when the connection is closed.
    pub(super) fn add(
        &mut self,
        subject: Subject,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Publishing<'_> {
        self.publisher.publish(subject, reply, headers, body)
    }

    /// Ends the turn if it is time, which lets others go on.
    ///
    /// # Errors
    ///
    /// Those of [`leave`](Self::leave).
    pub(super) async fn end_if_over(&mut self) -> Result<()> {
        if self.turn.is_over() {
            self.leave().await?;
            yield_now().await;
        }
        Ok(())
    }

    /// Ends the turn: all that was made leaves.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) fn leave(&mut self) -> Publishing<'_> {
        self.turn.end();
        Either::Left(ready(Ok(())))
    }
}

/// Waits to be woken once.
async fn give_back() {
    let mut given_back = false;
    poll_fn(|_| {
        if std::mem::replace(&mut given_back, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

impl Turn {
    fn first() -> Self {
        Self {
            since: None,
            longest: FIRST,
        }
    }

    fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_over(&self) -> bool {
        self.since
            .is_some_and(|since| since.elapsed() > self.longest)
    }

    fn end(&mut self) {
        if self.is_over() {
            self.longest = LATER;
        }
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are made in a turn when each takes so long.
    async fn made_in_one(turn: &mut Turn, each: Duration) -> usize {
        let mut made = 0;
        while !turn.is_over() {
            turn.begin();
            tokio::time::advance(each).await;
            made += 1;
        }
        turn.end();
        made
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_its_time_leaves_alone() {
        let mut turn = Turn::first();
        for _ in 0..10 {
            assert_eq!(made_in_one(&mut turn, LATER * 2).await, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_made_quickly_leaves_together_but_for_the_first() {
        let mut turn = Turn::first();
        let each = Duration::from_micros(11);
        assert_eq!(made_in_one(&mut turn, each).await, 5);
        assert_eq!(made_in_one(&mut turn, each).await, 19);
    }
}
