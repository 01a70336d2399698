//! A bounded buffer for what comes faster than it is taken.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Message, Subscriber};
use futures::StreamExt;
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
    filling: AbortHandle,
}

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
            filling: filling.abort_handle(),
        }
    }

    /// What came next; `None` once the subscription has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Buffered> {
        loop {
            let changed = self.queue.changed.notified();
            {
                let mut waiting = self.queue.lock();
                if let Some(next) = waiting.take() {
                    return Some(next);
                }
                if waiting.ended {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Puts back the message that was taken last: it comes next.
    pub(super) fn put_back(&mut self, message: Message) {
        let mut waiting = self.queue.lock();
        waiting.bytes += message.length;
        waiting.messages.push_front(Buffered::Message(message));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.filling.abort();
    }
}

/// Runs until the subscription ends or the buffer is dropped.
async fn fill(mut subscriber: Subscriber, queue: Arc<Queue>) {
    while let Some(message) = subscriber.next().await {
        queue.lock().put(message);
        queue.changed.notify_one();
    }
    queue.lock().ended = true;
    queue.changed.notify_one();
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
            self.messages.len() >= Buffer::CHUNKS / limit || self.bytes >= Self::BYTES / limit;
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
        self.messages.len() < Buffer::CHUNKS + Self::END_MARKERS
            && message.payload.is_empty()
            && ChunkHeaders::read(&Received(message.headers.as_ref()))
                .is_ok_and(|headers| headers.end)
    }

    fn take(&mut self) -> Option<Buffered> {
        let next = self.messages.pop_front();
        if let Some(Buffered::Message(message)) = &next {
            self.bytes -= message.length;
        }
        next
    }
}
