//! Sends the chunks of a stream, within the credit of its consumer.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;

use async_nats::Subject;
use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{ChunkHeaders, RequestId, subject};

use super::batcher::{Batcher, Unwritten};
use super::outcome::{WorkResult, handler_failed, handler_panicked};
use super::reply::within_abort;
use super::request::Request;
use super::signals::SignalHandle;
use super::state::AgentState;
use crate::agent::Chunks;
use crate::error::Result;
use crate::telemetry::CancelReason;
use crate::transport::Outgoing;

/// Sends `chunks` to the consumer of the stream `id`, until they end, fail, or the consumer has
/// disconnected. The end marker is not sent.
pub(super) async fn send_chunks(
    agent: &AgentState,
    request: &Request<'_>,
    id: &RequestId,
    signals: &SignalHandle,
    mut chunks: Chunks,
) -> WorkResult {
    let sender = ChunkSender {
        agent,
        request,
        signals,
        subject: subject::stream(id).into(),
        id,
    };
    sender.send_each(&mut chunks).await
}

/// Sends the end marker of the stream `id`.
///
/// # Errors
///
/// `connection_failed` when the connection is closed.
pub(super) async fn end_marker(
    agent: &AgentState,
    request: &Request<'_>,
    id: &RequestId,
) -> Result<()> {
    let mut headers = Outgoing::default();
    let count = request.chunks.load(Ordering::Relaxed);
    ChunkHeaders {
        usage: request.usage(),
        ..chunk_headers(agent, id, count, true)
    }
    .write(&mut headers);
    let subject: Subject = subject::stream(id).into();
    let published = agent
        .publisher()
        .publish(subject, None, headers.0, Bytes::new());
    within_abort(agent, published).await
}

/// The destination of one stream's chunks.
struct ChunkSender<'s> {
    agent: &'s AgentState,
    request: &'s Request<'s>,
    signals: &'s SignalHandle,
    subject: Subject,
    id: &'s RequestId,
}

impl ChunkSender<'_> {
    async fn send_each(&self, chunks: &mut Chunks) -> WorkResult {
        let (mut batcher, mut unwritten) = (Batcher::default(), Unwritten::default());
        loop {
            // One chunk is produced ahead of the credit, so that the end of the stream needs none.
            let next = AssertUnwindSafe(batcher.next(chunks)).catch_unwind();
            let body = match next.await {
                Ok(Some(Ok(body))) => body,
                Ok(Some(Err(error))) => return WorkResult::Failed(handler_failed(error)),
                Ok(None) => return WorkResult::Stream,
                Err(panic) => return WorkResult::Failed(handler_panicked(&*panic)),
            };
            if !self.signals.try_take_credit() {
                self.signals.take_credit().await;
            }
            // A stream that is always ready is not polled together with its cancellation.
            if self.signals.is_disconnected() {
                self.request.cancel();
                return WorkResult::Cancelled {
                    reason: CancelReason::CallerDisconnected,
                    started: true,
                };
            }
            let bytes = body.len();
            if let Err(error) = self.send(body).await {
                return WorkResult::Failed(error);
            }
            unwritten.add(bytes, &self.agent.session.connection).await;
        }
    }

    async fn send(&self, body: Bytes) -> Result<()> {
        let seq = self.request.chunks.load(Ordering::Relaxed);
        let mut headers = Outgoing::default();
        chunk_headers(self.agent, self.id, seq, false).write(&mut headers);
        // Credit, a cancel message, or the server's report of no subscriber arrives on the reply subject.
        let (subject, reply) = (self.subject.clone(), self.signals.subject().clone());
        let publisher = self.agent.publisher();
        publisher
            .publish(subject, Some(reply), headers.0, body)
            .await?;
        self.request.chunks.store(seq + 1, Ordering::Relaxed);
        Ok(())
    }
}

fn chunk_headers<'h>(
    agent: &'h AgentState,
    request_id: &'h RequestId,
    seq: u64,
    end: bool,
) -> ChunkHeaders<'h> {
    ChunkHeaders {
        seq: Some(seq),
        end,
        request_id: Some(request_id.as_str()),
        instance_id: Some(agent.session.instance_id.as_str()),
        ..ChunkHeaders::default()
    }
}
