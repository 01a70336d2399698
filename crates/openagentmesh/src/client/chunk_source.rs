//! The chunks of a stream as they arrive, bounded while their consumer takes none.

use async_nats::{Message, Subscriber};
use futures::StreamExt;
use futures::stream::BoxStream;
use openagentmesh_protocol::ErrorCode;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::chunk_limit::ChunkLimit;
use super::receive_buffer::{Buffered, ReceiveBuffer};
use crate::error::{Error, Result};

/// The origin of a stream's chunks.
pub(super) enum Source {
    /// No chunk was taken yet.
    First(FirstChunk),
    /// The host sends no more chunks than it has credit for.
    Credited(Subscriber, ChunkLimit),
    /// The host ignores credit.
    Buffered(ReceiveBuffer),
    /// The agent runs in this process.
    Local(BoxStream<'static, Result<Message>>),
    /// The subscription ended before the first chunk.
    Closed,
}

impl Source {
    /// The next message; `None` once the subscription has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Message>> {
        match self {
            Self::First(first) => {
                let (message, source) = first.next().await;
                *self = source;
                Ok(message)
            }
            Self::Credited(subscriber, limit) => {
                let message = subscriber.next().await;
                if message.is_some() {
                    limit.count();
                    limit.apply(subscriber);
                }
                Ok(message)
            }
            Self::Buffered(buffer) => match buffer.next().await {
                Some(Buffered::Message(message)) => Ok(Some(message)),
                Some(Buffered::Lost(lost)) => Err(lost_chunks(lost)),
                None => Ok(None),
            },
            Self::Local(chunks) => chunks.next().await.transpose(),
            Self::Closed => Ok(None),
        }
    }
}

/// Waits for the first message of a stream's subscription, which shows whether the host limits its rate by credit.
///
/// A task takes the message at once, and bounds those that follow it. Otherwise the NATS client would buffer 65,536
/// messages of any size until the consumer polls.
pub(super) struct FirstChunk {
    taken: oneshot::Receiver<(Option<Message>, Source)>,
    task: AbortHandle,
}

impl FirstChunk {
    /// Takes the first message of `subscriber`, the subscription to a stream with a first window of `window` chunks.
    /// `ended` ends the buffer of a host that ignores credit.
    pub(super) fn start(subscriber: Subscriber, window: u32, ended: CancellationToken) -> Self {
        let (sender, taken) = oneshot::channel();
        let limit = ChunkLimit::new(window);
        let task = tokio::spawn(async move {
            // The consumer may have dropped the stream.
            drop(sender.send(take(subscriber, limit, ended).await));
        });
        Self {
            taken,
            task: task.abort_handle(),
        }
    }

    /// The first message, and the source of all others; `None` for both once the subscription has ended. Cancel-safe.
    /// Must not be called again after it has returned.
    pub(super) async fn next(&mut self) -> (Option<Message>, Source) {
        let taken = (&mut self.taken).await;
        // The task ends without a value only with the runtime.
        taken.unwrap_or((None, Source::Closed))
    }
}

impl Drop for FirstChunk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    mut subscriber: Subscriber,
    mut limit: ChunkLimit,
    ended: CancellationToken,
) -> (Option<Message>, Source) {
    let Some(message) = subscriber.next().await else {
        return (None, Source::Closed);
    };
    // The reply subject of a chunk is the subject for credit.
    let source = if message.reply.is_some() {
        limit.count();
        limit.apply(&mut subscriber);
        Source::Credited(subscriber, limit)
    } else {
        Source::Buffered(ReceiveBuffer::start(subscriber, ended))
    };
    (Some(message), source)
}

fn lost_chunks(lost: u64) -> Error {
    Error::raised(
        ErrorCode::ChunkSequenceError,
        format!(
            "{lost} chunks were lost: they were taken too slowly, at most {} wait, and their host \
             does not limit its rate",
            ReceiveBuffer::MAX_MESSAGES
        ),
    )
    .with_detail("lost", lost)
}
