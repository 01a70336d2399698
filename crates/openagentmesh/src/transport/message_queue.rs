//! Messages that have arrived and wait for a reader, within bounds.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker, ready};

use async_nats::Message;
use bytes::Bytes;
use openagentmesh_protocol::ChunkHeaders;
use tokio::task::coop;

use super::headers::{Received, memory};
use crate::util::sync::Mutex;

/// The messages that a reader has not taken yet.
///
/// A payload shares its memory with other messages that arrived at the same time, which may be large. The queue
/// therefore copies payloads once several messages wait.
///
/// A sender without credit is bounded by number and memory: messages that do not fit are counted, and the count is kept in
/// their place. After such a loss, half of the queue must be free before further messages are kept. A full queue keeps end
/// markers, up to a limit: without one, the reader would wait for messages that never come.
///
/// A sender with credit is bounded by it and by memory: the queue ends with the first message that no credit allows, or
/// that does not fit.
pub(crate) struct MessageQueue(Mutex<Queue>);

/// An item of the queue.
pub(crate) enum Queued {
    Message(Message),
    /// The number of messages that did not fit here.
    Lost(u64),
    /// A message arrived beyond a limit. The last item.
    Exceeded(Limit),
}

/// A limit of a sender with credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// There was no credit for the message.
    Credit,
    /// The messages before it have [`MAX_BYTES`](MessageQueue::MAX_BYTES).
    Memory,
}

struct Queue {
    items: VecDeque<Queued>,
    /// The memory of all messages in `items`.
    bytes: usize,
    bound: Bound,
    /// Set by a loss, until half of the queue is free.
    is_overflowing: bool,
    /// Set when no more messages come.
    has_ended: bool,
    /// Wakes the reader that waits for an item.
    reader: Option<Waker>,
}

/// What bounds the waiting messages.
#[derive(Clone, Copy)]
enum Bound {
    /// The first message shows whether the sender knows credit, of which it has so much.
    Unknown { credit: u64 },
    /// The sender has so much credit, and has sent so many messages.
    Credit { credit: u64, arrived: u64 },
    /// Number and memory of the messages.
    Size,
}

impl MessageQueue {
    /// The maximum number of waiting messages of a sender without credit.
    pub(crate) const MAX_MESSAGES: usize = 16 * 1024;
    /// The maximum memory of the waiting messages, in bytes, plus one message.
    pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;

    /// For a sender without credit.
    pub(crate) fn new() -> Self {
        Self::bounded(Bound::Size)
    }

    /// For the host of a stream, which has credit for so many chunks. A host that does not know credit sends chunks without
    /// a reply subject.
    pub(crate) fn with_credit(credit: u32) -> Self {
        Self::bounded(Bound::Unknown {
            credit: credit.into(),
        })
    }

    fn bounded(bound: Bound) -> Self {
        Self(Mutex::new(Queue {
            items: VecDeque::new(),
            bytes: 0,
            bound,
            is_overflowing: false,
            has_ended: false,
            reader: None,
        }))
    }

    /// Adds `message`, and those of `more` that are there, then wakes the reader once.
    pub(crate) fn push_all(&self, message: Message, more: impl FnMut() -> Option<Message>) {
        let reader = {
            let mut queue = self.0.lock();
            queue.push(message);
            std::iter::from_fn(more).for_each(|message| queue.push(message));
            queue.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Adds `message`.
    pub(crate) fn push(&self, message: Message) {
        self.push_all(message, || None);
    }

    /// Puts back the message that was taken last.
    pub(crate) fn put_back(&self, message: Message) {
        let mut queue = self.0.lock();
        queue.bytes += memory(&message);
        queue.items.push_front(Queued::Message(message));
    }

    /// The sender has credit for so many chunks since the beginning. To be called before the credit is sent: the sender may
    /// use it at once.
    pub(crate) fn raise_credit(&self, total: u64) {
        match &mut self.0.lock().bound {
            Bound::Unknown { credit } | Bound::Credit { credit, .. } => {
                *credit = total.max(*credit)
            }
            Bound::Size => {}
        }
    }

    /// The number of chunks for which the sender has had credit since the beginning; `None` if it has none.
    pub(crate) fn credit(&self) -> Option<u64> {
        match self.0.lock().bound {
            Bound::Unknown { credit } | Bound::Credit { credit, .. } => Some(credit),
            Bound::Size => None,
        }
    }

    /// No more messages come.
    pub(crate) fn end(&self) {
        let reader = {
            let mut queue = self.0.lock();
            queue.has_ended = true;
            queue.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The next item; `None` after the last one. Cancel-safe.
    pub(crate) async fn next(&self) -> Option<Queued> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), polled.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Queued>> {
        // A reader that never has to wait yields now and then.
        let budget = ready!(coop::poll_proceed(context));
        let mut queue = self.0.lock();
        let next = queue.pop();
        if next.is_none() && !queue.has_ended {
            queue.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        budget.made_progress();
        Poll::Ready(next)
    }
}

impl Queue {
    /// The maximum number of end markers that a full queue keeps.
    const MAX_EXTRA_END_MARKERS: usize = 1024;
    /// The size of an end marker that is kept in a full queue, in bytes, at most.
    const MAX_END_MARKER_BYTES: usize = 4096;
    /// The number of waiting messages from which on payloads are copied.
    const COPY_FROM: usize = 8;
    /// Messages that need no credit: the end marker or an error.
    const WITHOUT_CREDIT: u64 = 1;

    fn pop(&mut self) -> Option<Queued> {
        let item = self.items.pop_front()?;
        if let Queued::Message(message) = &item {
            self.bytes -= memory(message);
        }
        Some(item)
    }

    fn push(&mut self, message: Message) {
        if let Bound::Unknown { credit } = self.bound {
            self.bound = match message.reply {
                // The reply subject of a chunk is the subject for credit.
                Some(_) => Bound::Credit { credit, arrived: 0 },
                None => Bound::Size,
            };
        }
        match &mut self.bound {
            _ if self.has_ended => {}
            Bound::Credit { credit, arrived } => {
                *arrived += 1;
                if *arrived > credit.saturating_add(Self::WITHOUT_CREDIT) {
                    self.exceed(Limit::Credit);
                } else if self.bytes < MessageQueue::MAX_BYTES || self.keeps_end_marker(&message) {
                    self.keep(message);
                } else {
                    self.exceed(Limit::Memory);
                }
            }
            Bound::Size | Bound::Unknown { .. } => self.push_within_size(message),
        }
    }

    fn push_within_size(&mut self, message: Message) {
        let divisor = if self.is_overflowing { 2 } else { 1 };
        self.is_overflowing = self.items.len() >= MessageQueue::MAX_MESSAGES / divisor
            || self.bytes >= MessageQueue::MAX_BYTES / divisor;
        if !self.is_overflowing || self.keeps_end_marker(&message) {
            self.keep(message);
        } else if let Some(Queued::Lost(lost)) = self.items.back_mut() {
            *lost += 1;
        } else {
            self.items.push_back(Queued::Lost(1));
        }
    }

    fn exceed(&mut self, limit: Limit) {
        self.items.push_back(Queued::Exceeded(limit));
        self.has_ended = true;
    }

    fn keep(&mut self, mut message: Message) {
        self.bytes += memory(&message);
        if self.items.len() >= Self::COPY_FROM {
            message.payload = Bytes::copy_from_slice(&message.payload);
        }
        self.items.push_back(Queued::Message(message));
    }

    /// Whether `message` is an end marker that is kept in the full queue.
    fn keeps_end_marker(&self, message: &Message) -> bool {
        self.items.len() < MessageQueue::MAX_MESSAGES + Self::MAX_EXTRA_END_MARKERS
            && message.length <= Self::MAX_END_MARKER_BYTES
            && ChunkHeaders::read(&Received(message.headers.as_ref()))
                .is_ok_and(|headers| headers.end)
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use futures::FutureExt;

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

    fn chunk_with_reply() -> Message {
        Message {
            reply: Some("_INBOX.credit".into()),
            ..message(HeaderMap::new(), 10)
        }
    }

    /// Adds chunks of 8 MiB, of which as many as 8 fit.
    fn push_large_chunks(queue: &MessageQueue, count: usize) {
        for _ in 0..count {
            queue.push(Message {
                length: MessageQueue::MAX_BYTES / 8,
                ..chunk_with_reply()
            });
        }
    }

    /// The items that wait.
    fn take_all(queue: &MessageQueue) -> Vec<Queued> {
        std::iter::from_fn(|| queue.next().now_or_never().flatten()).collect()
    }

    fn queue() -> Queue {
        MessageQueue::new().0.into_inner()
    }

    #[test]
    fn message_of_many_headers_counts_with_their_memory() {
        let mut queue = queue();
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
        let mut queue = queue();
        for start in 0..1000 {
            let mut small = message(HeaderMap::new(), 10);
            small.payload = received.slice(start..start + 10);
            queue.push(small);
        }
        let is_shared = |item: &&Queued| matches!(item, Queued::Message(small) if shared.contains(&small.payload.as_ptr()));
        let count = queue.items.iter().filter(is_shared).count();
        assert_eq!(count, Queue::COPY_FROM);
    }

    #[test]
    fn full_queue_keeps_small_end_markers_only() {
        const MIB: usize = 1024 * 1024;
        let mut queue = queue();
        for _ in 0..64 {
            queue.push(message(HeaderMap::new(), MIB));
        }
        let mut end = HeaderMap::new();
        end.insert("X-Mesh-Stream-End", "true");
        for _ in 0..100 {
            queue.push(message(end.clone(), MIB));
            queue.push(message(end.clone(), 200));
        }
        assert!(
            queue.bytes < MessageQueue::MAX_BYTES + 2 * MIB,
            "{}",
            queue.bytes
        );
        let small = |item: &&Queued| matches!(item, Queued::Message(end) if end.length == 200);
        assert_eq!(queue.items.iter().filter(small).count(), 100);
    }

    #[test]
    fn message_beyond_the_credit_ends_the_queue() {
        let queue = MessageQueue::with_credit(2);
        queue.push(chunk_with_reply());
        queue.raise_credit(3);
        // The fourth may be the end marker.
        for _ in 0..10 {
            queue.push(chunk_with_reply());
        }
        let items = take_all(&queue);
        assert_eq!(items.len(), 5);
        assert!(matches!(items[4], Queued::Exceeded(Limit::Credit)));
        assert!(queue.next().now_or_never().is_some(), "has ended");
    }

    #[test]
    fn chunks_beyond_the_memory_end_the_queue_whatever_the_credit() {
        let queue = MessageQueue::with_credit(1000);
        push_large_chunks(&queue, 100);
        let items = take_all(&queue);
        assert_eq!(items.len(), 8 + 1);
        assert!(matches!(items[8], Queued::Exceeded(Limit::Memory)));
        assert!(queue.next().now_or_never().is_some(), "has ended");
    }

    #[test]
    fn error_after_large_chunks_is_kept() {
        let queue = MessageQueue::with_credit(8);
        push_large_chunks(&queue, 8);
        let mut end = HeaderMap::new();
        end.insert("X-Mesh-Stream-End", "true");
        queue.push(Message {
            payload: Bytes::from_static(b"{\"code\": \"handler_error\"}"),
            ..message(end, 200)
        });
        let items = take_all(&queue);
        assert_eq!(items.len(), 9);
        assert!(matches!(&items[8], Queued::Message(end) if end.length == 200));
    }

    #[test]
    fn host_that_does_not_know_credit_is_bounded_by_size() {
        let queue = MessageQueue::with_credit(1);
        for _ in 0..100 {
            queue.push(message(HeaderMap::new(), 10));
        }
        assert_eq!(queue.0.lock().items.len(), 100);
    }
}
