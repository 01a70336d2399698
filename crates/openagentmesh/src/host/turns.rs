//! Making chunks or events one after another, and sending those together that are made in one turn.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::StreamExt;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::agent::Chunks;
use crate::error::{BoxError, Result};
use crate::outbox::Outbox;

/// For how long the first one may wait for others, and for how long those after it.
const FIRST: Duration = Duration::from_micros(50);
const LATER: Duration = Duration::from_micros(200);
/// How many messages, and bytes of bodies, are sent together at most.
const MESSAGES: usize = 512;
const BYTES: usize = 64 * 1024;

/// Sees to it that what is made leaves soon, though the next is made at once.
///
/// The connection's task is woken by what is sent, and writes what there is by then. If each message were
/// sent when it is made, it would write some as soon as it finds a thread, and be woken again by the next.
/// So what is made at once is sent when the turn is over, which is when nothing more is there or it has
/// lasted long enough; and then the thread is given back, so that it leaves.
pub(super) struct Turns {
    outbox: Arc<Outbox>,
    turn: Turn,
    /// What was made in this turn.
    made: Vec<OutboundMessage>,
    bytes: usize,
}

/// For how long the thread is held.
struct Turn {
    /// `None` while it is not.
    since: Option<Instant>,
    longest: Duration,
}

impl Turns {
    pub(super) fn new(outbox: &Arc<Outbox>) -> Self {
        Self {
            outbox: Arc::clone(outbox),
            turn: Turn::first(),
            made: Vec::new(),
            bytes: 0,
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
        self.leave().await?;
        let next = chunks.next().await;
        self.turn.begin();
        Ok(next)
    }

    /// Sends a message with others of this turn.
    ///
    /// # Errors
    ///
    /// `payload_too_large` when it does not fit the server, and those of [`leave`](Self::leave).
    pub(super) async fn send(
        &mut self,
        subject: Subject,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<()> {
        self.bytes += body.len();
        self.made
            .push(self.outbox.message(subject, reply, headers, body)?);
        if self.turn.is_over() {
            self.leave().await?;
            yield_now().await;
        } else if self.made.len() >= MESSAGES || self.bytes >= BYTES {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Ends the turn: all that was made leaves.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) async fn leave(&mut self) -> Result<()> {
        self.turn.end();
        self.hand_over().await
    }

    async fn hand_over(&mut self) -> Result<()> {
        self.bytes = 0;
        self.outbox.publish_all(self.made.drain(..)).await
    }
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
