//! Sends the chunks of a stream, within the credit of its consumer.

use std::future::poll_fn;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;

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
use super::unsent_chunks::UnsentChunks;
use crate::agent::Chunks;
use crate::error::BoxError;
use crate::telemetry::CancelReason;
use crate::transport::{Outgoing, while_chunks_are_held};

/// The size of the headers of chunks in bytes, at most.
const MAX_HEADER_BYTES: usize = 1024;

/// Sends `chunks` to the consumer of the stream `id`, until they end, fail, or the consumer has
/// disconnected. The end marker is not sent.
pub(super) async fn send_chunks(
    agent: &AgentState,
    request: &Request<'_>,
    id: &RequestId,
    signals: &SignalHandle,
    mut chunks: Chunks,
) -> WorkResult {
    let limit = (agent.session.connection.max_payload())
        .saturating_sub(MAX_HEADER_BYTES)
        .min(Batcher::MAX_BYTES);
    let mut sender = ChunkSender {
        agent,
        request,
        signals,
        subject: subject::stream(id).into(),
        id,
        unsent: UnsentChunks::new(request.headers.stream_batch.then_some(limit)),
        unwritten: Unwritten::default(),
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
) -> crate::error::Result<()> {
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
    unsent: UnsentChunks,
    unwritten: Unwritten,
}

/// A chunk of a handler, or the panic of its stream.
type Produced = std::thread::Result<Option<Result<Bytes, BoxError>>>;

impl ChunkSender<'_> {
    async fn send_each(&mut self, chunks: &mut Chunks) -> WorkResult {
        let ended = match self.send_until_end(chunks).await {
            Ok(ended) => ended,
            Err(failed) => return failed,
        };
        // The chunks before the end, or before an error, arrive first.
        match self.flush().await {
            Ok(()) => ended,
            Err(failed) => failed,
        }
    }

    /// Sends chunks until the stream has ended, but for those that are unsent then. `Err` when no more can be sent.
    async fn send_until_end(&mut self, chunks: &mut Chunks) -> Result<WorkResult, WorkResult> {
        let mut batcher = Batcher::default();
        loop {
            // One chunk is produced ahead of the credit, so that the end of the stream needs none.
            let chunk = match self.next(&mut batcher, chunks).await? {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => return Ok(WorkResult::Failed(handler_failed(error))),
                Ok(None) => return Ok(WorkResult::Stream),
                Err(panic) => return Ok(WorkResult::Failed(handler_panicked(&*panic))),
            };
            if !self.signals.try_take_credit() {
                self.flush().await?;
                self.signals.take_credit().await;
            }
            // A stream that is always ready is not polled together with its cancellation.
            if self.signals.is_disconnected() {
                self.request.cancel();
                return Err(WorkResult::Cancelled {
                    reason: CancelReason::CallerDisconnected,
                    started: true,
                });
            }
            if !self.unsent.fits(&chunk) {
                self.flush().await?;
            }
            self.unsent.push(chunk);
            // A consumer waits for the first chunk most: it is written before the next ones are produced.
            if self.sent() == 0 {
                self.flush().await?;
                batcher.end().await;
            }
        }
    }

    /// The next chunk. What is unsent leaves before the handler is waited for.
    async fn next(
        &mut self,
        batcher: &mut Batcher,
        chunks: &mut Chunks,
    ) -> Result<Produced, WorkResult> {
        if batcher.is_full() {
            self.flush().await?;
            batcher.end().await;
        }
        let next = poll_fn(|context| batcher.poll_next(chunks, context));
        let mut next = pin!(AssertUnwindSafe(next).catch_unwind());
        if !self.unsent.is_empty() {
            let polled = poll_fn(|context| {
                Poll::Ready(while_chunks_are_held(|| next.as_mut().poll(context)))
            });
            match polled.await {
                Poll::Ready(produced) => return Ok(produced),
                Poll::Pending => self.flush().await?,
            }
        }
        Ok(next.await)
    }

    /// The number of chunks that were sent.
    fn sent(&self) -> u64 {
        self.request.chunks.load(Ordering::Relaxed)
    }

    /// Sends what is unsent.
    async fn flush(&mut self) -> Result<(), WorkResult> {
        let Some((body, count)) = self.unsent.take() else {
            return Ok(());
        };
        let bytes = body.len();
        let sent = self.send(body, count).await;
        sent.map_err(WorkResult::Failed)?;
        let connection = &self.agent.session.connection;
        self.unwritten.add(bytes, connection).await;
        Ok(())
    }

    async fn send(&self, body: Bytes, count: NonZeroU32) -> crate::error::Result<()> {
        let seq = self.sent();
        let mut headers = Outgoing::default();
        ChunkHeaders {
            count: (count.get() > 1).then_some(count),
            ..chunk_headers(self.agent, self.id, seq, false)
        }
        .write(&mut headers);
        // Credit, a cancel message, or the server's report of no subscriber arrives on the reply subject.
        let (subject, reply) = (self.subject.clone(), self.signals.subject().clone());
        let publisher = self.agent.publisher();
        publisher
            .publish(subject, Some(reply), headers.0, body)
            .await?;
        let sent = seq + u64::from(count.get());
        self.request.chunks.store(sent, Ordering::Relaxed);
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
