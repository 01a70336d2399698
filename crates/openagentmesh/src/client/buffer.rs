//! A bounded buffer for what comes faster than it is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Message, Subscriber};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Messages that wait to be taken. A task of its own fills it, so that a slow reader neither makes
/// the client drop messages unseen nor keeps more than this.
///
/// What does not fit is counted, and the count stands where the messages would have.
pub(super) struct Buffer {
    messages: mpsc::Receiver<Buffered>,
    bytes: Arc<AtomicUsize>,
    filling: AbortHandle,
    /// Taken, and put back.
    first: Option<Message>,
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
    /// How many bytes of messages wait at most, give or take one message.
    const BYTES: usize = 64 * 1024 * 1024;

    /// Takes everything from `subscriber` until the buffer is dropped.
    pub(super) fn start(subscriber: Subscriber) -> Self {
        let (sender, messages) = mpsc::channel(Self::CHUNKS);
        let bytes = Arc::new(AtomicUsize::new(0));
        let filling = tokio::spawn(fill(subscriber, sender, Arc::clone(&bytes)));
        Self {
            messages,
            bytes,
            first: None,
            filling: filling.abort_handle(),
        }
    }

    /// What came next; `None` once the subscription has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Buffered> {
        if let Some(first) = self.first.take() {
            return Some(Buffered::Message(first));
        }
        let next = self.messages.recv().await;
        if let Some(Buffered::Message(message)) = &next {
            self.bytes.fetch_sub(message.length, Ordering::Relaxed);
        }
        next
    }

    /// Puts back the message that was taken last: it comes next.
    pub(super) fn put_back(&mut self, message: Message) {
        self.first = Some(message);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.filling.abort();
    }
}

/// Runs until the subscription ends or the buffer is dropped.
async fn fill(mut subscriber: Subscriber, sender: mpsc::Sender<Buffered>, bytes: Arc<AtomicUsize>) {
    let mut lost = 0;
    loop {
        tokio::select! {
            biased;
            place = sender.reserve(), if lost > 0 => match place {
                Ok(place) => place.send(Buffered::Lost(std::mem::take(&mut lost))),
                Err(_) => return,
            },
            message = subscriber.next() => {
                let Some(message) = message else { break };
                if lost > 0 || bytes.load(Ordering::Relaxed) >= Buffer::BYTES {
                    lost += 1;
                    continue;
                }
                let length = message.length;
                bytes.fetch_add(length, Ordering::Relaxed);
                match sender.try_send(Buffered::Message(message)) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        bytes.fetch_sub(length, Ordering::Relaxed);
                        lost = 1;
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                }
            }
        }
    }
    if lost > 0 && sender.send(Buffered::Lost(lost)).await.is_err() {
        tracing::debug!(lost, "messages were lost that nobody waited for any more");
    }
}
