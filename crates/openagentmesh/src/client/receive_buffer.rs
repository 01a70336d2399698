//! A bounded buffer between a subscription and a reader that may be slow.

use std::sync::Arc;
use std::task::{Context, Poll};

use async_nats::Message;
use futures::{FutureExt, Stream, StreamExt};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::transport::{MessageQueue, Queued};

/// The messages of a subscription that its reader has not taken yet.
///
/// A task moves every message from the subscription into the buffer at once. Otherwise the NATS client would
/// buffer 65,536 messages of any size and drop the rest without a count.
pub(super) struct ReceiveBuffer {
    queue: Arc<MessageQueue>,
    task: AbortHandle,
}

impl ReceiveBuffer {
    /// Buffers `messages`, those of a subscription, until the buffer is dropped, or until `ended` fires.
    pub(super) fn start(
        messages: impl Stream<Item = Message> + Send + Unpin + 'static,
        ended: CancellationToken,
    ) -> Self {
        let queue = Arc::new(MessageQueue::new());
        let receiving = receive(messages, Arc::clone(&queue), ended);
        Self {
            task: tokio::spawn(receiving).abort_handle(),
            queue,
        }
    }

    /// The next item; `None` once the subscription has ended. Cancel-safe.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Queued>> {
        self.queue.poll_next(context)
    }

    /// Puts back the message that was taken last.
    pub(super) fn put_back(&self, message: Message) {
        self.queue.put_back(message);
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
    queue: Arc<MessageQueue>,
    ended: CancellationToken,
) {
    while let Some(Some(message)) = ended.run_until_cancelled(messages.next()).await {
        // Those that have arrived together wake the reader once.
        queue.push_all(message, || messages.next().now_or_never().flatten());
    }
    queue.end();
}
