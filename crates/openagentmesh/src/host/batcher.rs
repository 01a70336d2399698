//! Batches chunks or events of a stream that never yields.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::error::BoxError;
use crate::transport::Connection;

/// Batches chunks or events of a stream that never yields: up to 200 µs or 64 KiB, then one flush.
///
/// At the end of a batch the stream's task yields: the connection's task writes the batch, and other tasks run.
#[derive(Default)]
pub(super) struct Batcher {
    /// The time of the first poll in this batch; `None` before.
    since: Option<Instant>,
    /// The size of the chunks in this batch.
    bytes: usize,
}

impl Batcher {
    /// The maximum size of a batch in bytes, plus one chunk.
    pub(super) const MAX_BYTES: usize = 64 * 1024;
    /// The maximum time of a batch, plus that of one chunk.
    const MAX_HOLD: Duration = Duration::from_micros(200);

    /// The next chunk of `stream`; ends the batch before, if it is full. Cancel-safe.
    pub(super) async fn next<S>(&mut self, stream: &mut S) -> Option<Result<Bytes, BoxError>>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Unpin,
    {
        if self.is_full() {
            self.end().await;
        }
        poll_fn(|context| self.poll_next(stream, context)).await
    }

    /// The next chunk of `stream`. A stream that is pending begins a new batch.
    pub(super) fn poll_next<S>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BoxError>>>
    where
        S: Stream<Item = Result<Bytes, BoxError>> + Unpin,
    {
        self.since.get_or_insert_with(Instant::now);
        let polled = stream.poll_next_unpin(context);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => self.bytes += chunk.len(),
            Poll::Ready(_) => {}
            Poll::Pending => *self = Self::default(),
        }
        polled
    }

    /// Ends the batch: other tasks run.
    pub(super) async fn end(&mut self) {
        *self = Self::default();
        yield_now().await;
    }

    /// Whether the batch is to be [ended](Self::end) before the next chunk.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= Self::MAX_BYTES
            || self
                .since
                .is_some_and(|since| since.elapsed() >= Self::MAX_HOLD)
    }
}

/// Bounds the bytes that a stream has published and the connection has not written.
///
/// The client takes a number of messages, of any size, before a publish waits. A consumer that grants more credit than
/// it reads, or a publisher faster than the connection, would fill it.
#[derive(Default)]
pub(super) struct Unwritten(usize);

impl Unwritten {
    /// As many as a consumer's window has at most.
    const MAX_BYTES: usize = 4 * 1024 * 1024;

    /// Counts a published message of `bytes` bytes, and waits until all are written if these are too many. Cancel-safe.
    pub(super) async fn add(&mut self, bytes: usize, connection: &Connection) {
        self.0 = self.0.saturating_add(bytes);
        if self.0 < Self::MAX_BYTES {
            return;
        }
        connection.publisher.flush().await;
        if let Err(error) = connection.client().flush().await {
            tracing::debug!(%error, "the connection is closed");
        }
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use futures::stream;

    use super::*;

    /// The number of chunks in one batch, if each has so many bytes and takes so long.
    fn batch(chunk: usize, time: Duration) -> usize {
        let chunks = stream::repeat_with(|| {
            // The clock is advanced at the first poll.
            let _ = pin!(tokio::time::advance(time)).poll(&mut Context::from_waker(Waker::noop()));
            Ok(Bytes::from(vec![0; chunk]))
        });
        let (mut chunks, mut batcher, mut count) = (pin!(chunks), Batcher::default(), 0);
        loop {
            let next = pin!(batcher.next(&mut chunks));
            if next
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
            {
                return count;
            }
            count += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batch_of_slow_chunks_is_one_chunk() {
        assert_eq!(batch(10, Batcher::MAX_HOLD * 2), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn batch_of_quick_chunks_ends_after_the_maximum_hold() {
        assert_eq!(batch(10, Batcher::MAX_HOLD / 8), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn batch_of_large_chunks_ends_after_the_maximum_size() {
        assert_eq!(batch(Batcher::MAX_BYTES / 4, Duration::ZERO), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_waits_starts_a_new_batch() {
        let mut batcher = Batcher::default();
        let mut chunks = pin!(stream::once(async {
            tokio::time::sleep(Batcher::MAX_HOLD * 2).await;
            Ok(Bytes::new())
        }));
        assert!(batcher.next(&mut chunks).await.is_some());
        assert!(!batcher.is_full());
    }
}
