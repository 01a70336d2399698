//! A bounded buffer for what comes faster than it is taken.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Message, Subscriber};
use futures::{FutureExt, StreamExt};
use openagentmesh_protocol::ChunkHeaders;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::wire::Received;

/// Messages that wait to be taken. A task of its own fills it, so that a slow reader neither makes
/// the client drop messages unseen nor keeps more than this.
///
/// What does not fit is counted, and the count stands where the messages would have; once something
/// was lost, half of the room must be free before more is kept. End markers are kept all the same:
/// without one, nobody would know that nothing more comes.
pub(super) struct Buffer {
    queue: Arc<Queue>,
    /// What was taken off the queue together, and was not asked for yet.
    taken: VecDeque<Buffered>,
    filling: AbortHandle,
}

/// How many messages go into the queue, and come out of it, together.
const BATCH: usize = 64;

/// What stands in the buffer.
pub(super) enum Buffered {
    Message(Message),
    /// So many messages did not fit.
    Lost(u64),
}

impl Buffer {
    /// How many messages wait at most.
    pub(super) const CHUNKS: usize = 16 * 1024;

    /// Takes everything from `subscriber` until the buffer is dropped.
    pub(super) fn start(subscriber: Subscriber) -> Self {
        let queue = Arc::new(Queue::default());
        let filling = tokio::spawn(fill(subscriber, Arc::clone(&queue)));
        Self {
            queue,
            taken: VecDeque::new(),
            filling: filling.abort_handle(),
        }
    }

    /// What came next; `None` once the subscription has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Buffered> {
        loop {
            if let Some(next) = self.taken.pop_front() {
                return Some(next);
            }
            let ended = self.queue.lock().lend(&mut self.taken);
            if ended {
                return None;
            }
            if self.taken.is_empty() {
                // What changed since then is remembered.
                self.queue.changed.notified().await;
            }
        }
    }

    /// Puts back the message that was taken last: it comes next.
    pub(super) fn put_back(&mut self, message: Message) {
        self.taken.push_front(Buffered::Message(message));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.filling.abort();
    }
}

/// Runs until the subscription ends or the buffer is dropped.
async fn fill(mut subscriber: Subscriber, queue: Arc<Queue>) {
    let mut ended = false;
    while !ended {
        let first = subscriber.next().await;
        {
            let mut waiting = queue.lock();
            let together = std::iter::once(first)
                .chain(std::iter::from_fn(|| subscriber.next().now_or_never()))
                .take(BATCH);
            for message in together {
                match message {
                    Some(message) => waiting.put(message),
                    None => ended = true,
                }
            }
            waiting.ended = ended;
        }
        queue.changed.notify_one();
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

impl Queue {
    /// Nothing that holds the lock can panic halfway through a change.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Buffered>,
    /// How many messages, and bytes, the reader has taken together; it may still be at the first.
    lent: (usize, usize),
    /// How many bytes all of these have.
    bytes: usize,
    /// Whether something was lost, and there is not yet room enough again.
    overflowing: bool,
    ended: bool,
}

impl Waiting {
    /// How many bytes of messages wait at most, give or take one message.
    const BYTES: usize = 64 * 1024 * 1024;
    /// How many end markers are kept beyond the limit.
    const END_MARKERS: usize = 1024;

    fn put(&mut self, message: Message) {
        let limit = if self.overflowing { 2 } else { 1 };
        self.overflowing =
            self.len() >= Buffer::CHUNKS / limit || self.bytes >= Self::BYTES / limit;
        if !self.overflowing || self.keeps(&message) {
            self.bytes += message.length;
            self.messages.push_back(Buffered::Message(message));
        } else if let Some(Buffered::Lost(lost)) = self.messages.back_mut() {
            *lost += 1;
        } else {
            self.messages.push_back(Buffered::Lost(1));
        }
    }

    /// Whether `message` is kept although there is no room.
    fn keeps(&self, message: &Message) -> bool {
        self.len() < Buffer::CHUNKS + Self::END_MARKERS
            && message.payload.is_empty()
            && ChunkHeaders::read(&Received(message.headers.as_ref()))
                .is_ok_and(|headers| headers.end)
    }

    fn len(&self) -> usize {
        self.messages.len() + self.lent.0
    }

    /// Moves what came first to `taken`, whose reader has dealt with all that it took before. Says
    /// whether nothing more comes.
    fn lend(&mut self, taken: &mut VecDeque<Buffered>) -> bool {
        self.bytes -= self.lent.1;
        let count = self.messages.len().min(BATCH);
        taken.extend(self.messages.drain(..count));
        let lengths = taken.iter().map(|lent| match lent {
            Buffered::Message(message) => message.length,
            Buffered::Lost(_) => 0,
        });
        self.lent = (count, lengths.sum());
        self.ended && count == 0
    }
}
