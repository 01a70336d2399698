//! A bounded buffer between a subscription and a reader that may be slow.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use async_nats::Message;
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use openagentmesh_protocol::ChunkHeaders;
use tokio::task::{AbortHandle, coop};
use tokio_util::sync::CancellationToken;

use crate::transport::{Received, memory};
use crate::util::sync::Mutex;

/// The messages of a subscription that its reader has not taken yet.
///
/// A task moves every message from the subscription into the buffer at once. Otherwise the NATS client would
/// buffer 65,536 messages of any size and drop the rest without a count.
///
/// A payload shares its memory with other messages that arrived at the same time, which may be large. The buffer
/// therefore copies payloads once several messages wait.
///
/// Messages that do not fit are counted, and the count is kept in their place. After such a loss, half of the
/// buffer must be free before further messages are kept. A full buffer keeps end markers, up to a limit:
/// without one, the reader would wait for messages that never come.
pub(super) struct ReceiveBuffer {
    queue: Arc<Mutex<Queue>>,
    task: AbortHandle,
}

/// An item of the buffer.
pub(super) enum Buffered {
    Message(Message),
    /// The number of messages that did not fit here.
    Lost(u64),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Buffered>,
    /// The memory of all messages in `items`.
    bytes: usize,
    /// Set by a loss, until half of the buffer is free.
    is_overflowing: bool,
    /// Set when the subscription has ended.
    has_ended: bool,
    /// Wakes the reader that waits for an item.
    reader: Option<Waker>,
}

impl ReceiveBuffer {
    /// The maximum number of waiting messages.
    pub(super) const MAX_MESSAGES: usize = 16 * 1024;

    /// Buffers `messages`, those of a subscription, until the buffer is dropped, or until `ended` fires.
    pub(super) fn start(
        messages: impl Stream<Item = Message> + Send + Unpin + 'static,
        ended: CancellationToken,
    ) -> Self {
        let queue = Arc::<Mutex<Queue>>::default();
        let receiving = receive(messages, Arc::clone(&queue), ended);
        Self {
            task: tokio::spawn(receiving).abort_handle(),
            queue,
        }
    }

    /// The next item; `None` once the subscription has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Buffered> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), polled.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Buffered>> {
        // A reader that never has to wait yields now and then.
        let budget = ready!(coop::poll_proceed(context));
        let mut queue = self.queue.lock();
        let next = queue.pop();
        if next.is_none() && !queue.has_ended {
            queue.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        budget.made_progress();
        Poll::Ready(next)
    }

    /// Puts back the message that was taken last.
    pub(super) fn put_back(&mut self, message: Message) {
        let mut queue = self.queue.lock();
        queue.bytes += memory(&message);
        queue.items.push_front(Buffered::Message(message));
    }
}

impl Drop for ReceiveBuffer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Moves messages from the subscription into the queue until the subscription ends.
async fn receive(
    mut messages: impl Stream<Item = Message> + Unpin,
    queue: Arc<Mutex<Queue>>,
    ended: CancellationToken,
) {
    while let Some(Some(message)) = ended.run_until_cancelled(messages.next()).await {
        let reader = {
            let mut queue = queue.lock();
            queue.push(message);
            // Those that have arrived together wake the reader once.
            while let Some(Some(message)) = messages.next().now_or_never() {
                queue.push(message);
            }
            queue.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
    let mut queue = queue.lock();
    queue.has_ended = true;
    if let Some(reader) = queue.reader.take() {
        reader.wake();
    }
}

impl Queue {
    /// The maximum memory of waiting messages in bytes, plus one message.
    const MAX_BYTES: usize = 64 * 1024 * 1024;
    /// The maximum number of end markers that a full buffer keeps.
    const MAX_EXTRA_END_MARKERS: usize = 1024;
    /// The size of an end marker that is kept in a full buffer, in bytes, at most.
    const MAX_END_MARKER_BYTES: usize = 4096;

    fn pop(&mut self) -> Option<Buffered> {
        let item = self.items.pop_front()?;
        if let Buffered::Message(message) = &item {
            self.bytes -= memory(message);
        }
        Some(item)
    }

    /// The number of waiting messages from which on payloads are copied.
    const COPY_FROM: usize = 8;

    fn push(&mut self, mut message: Message) {
        let divisor = if self.is_overflowing { 2 } else { 1 };
        self.is_overflowing = self.items.len() >= ReceiveBuffer::MAX_MESSAGES / divisor
            || self.bytes >= Self::MAX_BYTES / divisor;
        if !self.is_overflowing || self.keeps_end_marker(&message) {
            self.bytes += memory(&message);
            if self.items.len() >= Self::COPY_FROM {
                message.payload = Bytes::copy_from_slice(&message.payload);
            }
            self.items.push_back(Buffered::Message(message));
        } else if let Some(Buffered::Lost(lost)) = self.items.back_mut() {
            *lost += 1;
        } else {
            self.items.push_back(Buffered::Lost(1));
        }
    }

    /// Whether `message` is an end marker that is kept in the full buffer.
    fn keeps_end_marker(&self, message: &Message) -> bool {
        self.items.len() < ReceiveBuffer::MAX_MESSAGES + Self::MAX_EXTRA_END_MARKERS
            && message.payload.is_empty()
            && message.length <= Self::MAX_END_MARKER_BYTES
            && ChunkHeaders::read(&Received(message.headers.as_ref()))
                .is_ok_and(|headers| headers.end)
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    /// A message without a body, of so many bytes.
    fn message(headers: HeaderMap, length: usize) -> Message {
        Message {
            subject: "mesh.stream.abc".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(headers),
            status: None,
            description: None,
            length,
        }
    }

    #[test]
    fn message_of_many_headers_counts_with_their_memory() {
        let mut queue = Queue::default();
        let mut headers = HeaderMap::new();
        for number in 0..10_000 {
            headers.insert(format!("h{number}"), "");
        }
        for _ in 0..100 {
            queue.push(message(headers.clone(), 100_000));
        }
        assert!(queue.items.len() < 40, "{}", queue.items.len());
    }

    #[test]
    fn waiting_payloads_do_not_keep_the_memory_of_other_messages() {
        let received = Bytes::from(vec![0; 1024 * 1024]);
        let shared = received.as_ptr_range();
        let mut queue = Queue::default();
        for start in 0..1000 {
            let mut small = message(HeaderMap::new(), 10);
            small.payload = received.slice(start..start + 10);
            queue.push(small);
        }
        let is_shared = |item: &&Buffered| matches!(item, Buffered::Message(small) if shared.contains(&small.payload.as_ptr()));
        let count = queue.items.iter().filter(is_shared).count();
        assert_eq!(count, Queue::COPY_FROM);
    }

    #[test]
    fn full_buffer_keeps_small_end_markers_only() {
        const MIB: usize = 1024 * 1024;
        let mut queue = Queue::default();
        for _ in 0..64 {
            queue.push(message(HeaderMap::new(), MIB));
        }
        let mut end = HeaderMap::new();
        end.insert("X-Mesh-Stream-End", "true");
        for _ in 0..100 {
            queue.push(message(end.clone(), MIB));
            queue.push(message(end.clone(), 200));
        }
        assert!(queue.bytes < Queue::MAX_BYTES + 2 * MIB, "{}", queue.bytes);
        let small = |item: &&Buffered| matches!(item, Buffered::Message(end) if end.length == 200);
        assert_eq!(queue.items.iter().filter(small).count(), 100);
    }
}
