//! Receiving the chunks of a stream: in order, without loss, and no faster than they are taken.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openagentmesh_protocol::{CallerSignal, ChunkHeaders, ErrorCode, Status, subject};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::chunk_batch::ChunkBatch;
use super::chunk_source::Source;
use super::credit_window::Window;
use super::deadline::Deadline;
use super::local::Pending;
use super::reply;
use super::request::Checked;
use crate::error::{Error, Result};
use crate::transport::{Limit, MessageQueue, Outgoing, Received};

/// The chunks of a streamed reply, in order and without loss; made by awaiting a
/// [`StreamRequest`](crate::StreamRequest).
///
/// Each item is a chunk decoded as `Out`, or the error that ends the stream:
///
/// * any error with which the agent replies, for example `invalid_input` before the first chunk, or
///   `handler_error` after some chunks;
/// * `not_found` when no process serves the name, `not_available` when the catalog lists it nevertheless;
/// * `timeout` when a chunk did not arrive in time, or the stream did not end in time;
/// * `agent_died` when the host of the stream is dead, as for a [`Call`](crate::Call); the chunks that arrived before
///   come first;
/// * `chunk_sequence_error` when a chunk was lost;
/// * `unexpected_reply` when a chunk does not fit `Out`, or the agent's error cannot be read;
/// * `connection_denied` when the server does not permit the request, or the subscription to the chunks;
/// * `connection_failed` when the connection is closed, or its NATS client died during the stream.
///
/// The stream ends after an error. The host produces at most one
/// [`window`](crate::StreamRequest::window) more chunks than are taken here.
///
/// # Cancel safety
///
/// Dropping the future of [`next`](Self::next) loses no chunk. Dropping the stream cancels the request at
/// the host: the handler's stream is dropped.
#[must_use = "chunks arrive when the stream is polled"]
pub struct Chunks<Out>(BoxStream<'static, Result<Out>>);

impl<Out: DeserializeOwned + Send + 'static> Chunks<Out> {
    /// `reopening` opens the stream again when it fails before its first chunk.
    pub(super) fn new(receiving: Receiving, reopening: Option<Box<dyn Reopen>>) -> Self {
        let stream = (Box::new(receiving), reopening);
        let chunks = futures::stream::unfold(Some(stream), |stream| async move {
            let (mut receiving, mut reopening) = stream?;
            loop {
                let chunk = match receiving.next().await {
                    Ok(Some(body)) => reply::output("chunk", &body)
                        .map(Some)
                        .map_err(|error| receiving.request.about(error)),
                    Ok(None) => Ok(None),
                    Err(error) => Err(error),
                };
                if let Ok(Some(chunk)) = chunk {
                    return Some((Ok(chunk), Some((receiving, None))));
                }
                let end = receiving.request.interception.finish(chunk);
                let error = match (end, &mut reopening) {
                    (Err(error), Some(reopening)) if receiving.next_seq == 0 => {
                        match reopening.reopen(error).await {
                            Ok(reopened) => {
                                *receiving = reopened;
                                continue;
                            }
                            Err(error) => Err(error),
                        }
                    }
                    (end, _) => end,
                };
                return error.transpose().map(|error| (error, None));
            }
        });
        Self(chunks.fuse().boxed())
    }
}

impl<Out> Chunks<Out> {
    /// The next chunk; `None` when the stream has ended. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of the [items](Chunks).
    pub async fn next(&mut self) -> Option<Result<Out>> {
        StreamExt::next(&mut self.0).await
    }
}

impl<Out> Stream for Chunks<Out> {
    type Item = Result<Out>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl<Out> std::fmt::Debug for Chunks<Out> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks").finish_non_exhaustive()
    }
}

/// Opens a stream again that has failed before its first chunk.
pub(super) trait Reopen: Send {
    /// # Errors
    ///
    /// `error`, or that of the last attempt, when there is no further one.
    fn reopen(&mut self, error: Error) -> BoxFuture<'_, Result<Receiving>>;
}

/// A stream in progress. If it is dropped before its end, the host cancels the request: `pending` sends a cancel message.
pub(super) struct Receiving {
    request: Checked,
    source: Source,
    /// Receives the server's "no responders" and the host's probes.
    pending: Pending,
    /// Whether a reply instead of chunks is still possible.
    may_reply: bool,
    /// Whether `pending` has not returned yet.
    is_pending: bool,
    next_seq: u64,
    window: Window,
    /// The chunks of the last message that are not taken yet.
    batch: ChunkBatch,
    /// The subject for credit, given by the last chunk.
    credit_subject: Option<Subject>,
    deadline: Option<Deadline>,
    /// The limit of the wait for the next chunk.
    chunk_timeout: Duration,
    /// The limit after the first chunk.
    later_timeout: Duration,
}

/// A message to a request for a stream.
enum Delivery {
    Chunk(Message),
    /// The server's "no responders", or the reply of an agent that does not stream.
    Reply(Message),
}

impl Receiving {
    pub(super) fn new(
        request: Checked,
        source: Source,
        pending: Pending,
        window: Window,
        deadline: Option<Deadline>,
        first_timeout: Duration,
        later_timeout: Duration,
    ) -> Self {
        Self {
            request,
            source,
            pending,
            may_reply: true,
            is_pending: true,
            next_seq: 0,
            window,
            batch: ChunkBatch::default(),
            credit_subject: None,
            deadline,
            chunk_timeout: first_timeout,
            later_timeout,
        }
    }

    /// The next chunk's body; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        // Chunks that have arrived do not extend the deadline.
        if let Some(passed) = self.deadline.filter(|deadline| deadline.has_passed()) {
            return Err(self.unfinished(passed));
        }
        if !self.batch.is_empty() {
            // As a message does: a consumer of many chunks in one message yields now and then.
            tokio::task::coop::consume_budget().await;
        }
        if let Some(chunk) = self.batch.next() {
            self.take(chunk.len());
            // Credit that has to wait is sent with a later chunk, or before the next message.
            if let Some(Err(error)) = self.give_credit().now_or_never() {
                return Err(error);
            }
            return Ok(Some(chunk));
        }
        // A chunk that has arrived needs no timer.
        match self.receive().now_or_never() {
            Some(Ok(Delivery::Chunk(message))) => self.read(message),
            Some(Ok(Delivery::Reply(reply))) => {
                Err(single_reply(&self.request, &reply).boxed().await)
            }
            Some(Err(error)) => Err(error),
            None => self.wait().boxed().await,
        }
    }

    async fn wait(&mut self) -> Result<Option<Bytes>> {
        // Without budget, a chunk may have arrived nevertheless.
        if tokio::task::coop::has_budget_remaining() {
            self.window.wait();
        }
        let next_chunk = Deadline::after(self.chunk_timeout);
        let until = self.deadline.map_or(next_chunk, |end| end.min(next_chunk));
        match tokio::time::timeout_at(until.at, self.receive()).await {
            Ok(Ok(Delivery::Chunk(message))) => self.read(message),
            Ok(Ok(Delivery::Reply(reply))) => Err(single_reply(&self.request, &reply).await),
            Ok(Err(error)) => Err(error),
            Err(_) if until == next_chunk => {
                let failed_to = format_args!("sent no chunk {until}");
                Err(self.request.timed_out(failed_to))
            }
            Err(_) => Err(self.unfinished(until)),
        }
    }

    fn unfinished(&self, deadline: Deadline) -> Error {
        let failed_to = format_args!("did not end its stream {deadline}");
        self.request.timed_out(failed_to)
    }

    /// The next message of the stream. Cancel-safe: a message that was not returned is not lost.
    async fn receive(&mut self) -> Result<Delivery> {
        // Credit waits while the connection is lost. Chunks that have arrived do not.
        if !self.request.session().connection.is_up()
            && let Some(arrived) = self.source.next().now_or_never()
        {
            return match arrived? {
                Some(message) => Ok(self.arrived(Delivery::Chunk(message))),
                None => Err(self.ended()),
            };
        }
        self.give_credit().await?;
        let delivery = loop {
            tokio::select! {
                biased;
                message = self.source.next() => match message? {
                    Some(message) => break Delivery::Chunk(message),
                    None => return Err(self.ended()),
                },
                // After the first chunk, only a denial of credit is of interest.
                reply = self.pending.reply(), if self.is_pending => {
                    self.is_pending = false;
                    let reply = reply.map_err(|error| self.request.about(error))?;
                    if self.may_reply {
                        break Delivery::Reply(reply);
                    }
                }
            }
        };
        Ok(self.arrived(delivery))
    }

    /// Counts a message that has arrived.
    fn arrived(&mut self, delivery: Delivery) -> Delivery {
        self.may_reply = false;
        delivery
    }

    /// Sends credit if it is due.
    async fn give_credit(&mut self) -> Result<()> {
        let Some(subject) = &self.credit_subject else {
            return Ok(());
        };
        let Some(credit) = self.window.credit() else {
            return Ok(());
        };
        self.source.allow(credit);
        let mut headers = Outgoing::default();
        CallerSignal::Credit(credit).write(&mut headers);
        let connection = &self.request.session().connection;
        let sent = connection
            .publisher
            .publish(subject.clone(), None, headers.0, Bytes::new());
        tokio::select! {
            biased;
            sent = sent => sent?,
            refused = connection.refused() => return Err(self.request.about(refused)),
        }
        self.window.give(credit);
        self.source.grant(credit);
        Ok(())
    }

    /// The first chunk of a message; `None` for the end marker.
    fn read(&mut self, message: Message) -> Result<Option<Bytes>> {
        let received = Received(message.headers.as_ref());
        let headers = ChunkHeaders::read(&received).map_err(|error| {
            self.request.about(Error::raised(
                ErrorCode::ChunkSequenceError,
                format!("invalid chunk: {error}"),
            ))
        })?;
        if headers.status == Some(Status::Error) {
            self.pending.finish();
            return Err(reply::error(&message.payload));
        }
        let end_without_number = headers.end && headers.seq.is_none();
        if headers.seq != Some(self.next_seq) && !end_without_number {
            return Err(self.out_of_sequence(headers.seq));
        }
        if headers.end {
            self.pending.finish();
            return Ok(None);
        }
        let chunk = match headers.count.filter(|count| count.get() > 1) {
            None => {
                self.take(message.length + Window::MESSAGE_OVERHEAD_BYTES);
                message.payload
            }
            Some(count) => {
                if self.source.allowed() < self.next_seq + u64::from(count.get()) {
                    return Err(self.exceeded(Limit::Credit));
                }
                let Some((first, rest)) = ChunkBatch::split(message.payload, count) else {
                    return Err(self.not_as_many(count));
                };
                self.batch = rest;
                self.take(first.len());
                first
            }
        };
        self.chunk_timeout = self.later_timeout;
        // A host that is not trusted names the subject.
        if let Some(subject) = message.reply.filter(|reply| subject::may_reply_to(reply)) {
            if self.credit_subject.is_none() {
                self.pending.set_cancel_subject(&subject);
            }
            self.credit_subject = Some(subject);
        }
        Ok(Some(chunk))
    }

    /// Counts a chunk that takes so many bytes of memory.
    fn take(&mut self, bytes: usize) {
        self.next_seq += 1;
        self.request.interception.count_chunk();
        self.window.take(bytes);
    }

    fn not_as_many(&self, count: NonZeroU32) -> Error {
        self.request.about(Error::raised(
            ErrorCode::ChunkSequenceError,
            format!(
                "invalid chunks: agent '{}' sent a message of {count} chunks whose body has not as many lines",
                self.request.name
            ),
        ))
    }

    /// The error of a subscription that has ended before the stream.
    fn ended(&self) -> Error {
        let Some(limit) = self.source.exceeded() else {
            let connection = &self.request.session().connection;
            return self
                .request
                .about(connection.ended_error("the stream had not ended"));
        };
        self.exceeded(limit)
    }

    /// The error of a host that sent more than it may.
    fn exceeded(&self, limit: Limit) -> Error {
        let (agent, next) = (&self.request.name, self.next_seq);
        let problem = match limit {
            Limit::Credit => format!(
                "too many chunks: agent '{agent}' had credit for {} and sent more; its host ignores the window",
                self.source.allowed()
            ),
            Limit::Memory => format!(
                "chunks too large: {} MiB of agent '{agent}' waited before chunk {next}; take chunks faster or set a \
                 smaller window",
                MessageQueue::MAX_BYTES / (1024 * 1024)
            ),
        };
        let error = Error::raised(ErrorCode::ChunkSequenceError, problem);
        self.request.about(error)
    }

    fn out_of_sequence(&self, got: Option<u64>) -> Error {
        let expected = self.next_seq;
        let got_text = got.map_or("a chunk without a number".to_owned(), |got| got.to_string());
        let error = Error::raised(
            ErrorCode::ChunkSequenceError,
            format!(
                "chunk lost: received {got_text} instead of chunk {expected} of agent '{}'; request \
                 the stream again",
                self.request.name
            ),
        )
        .with_detail("expected_seq", expected)
        .with_detail("got_seq", got);
        self.request.about(error)
    }
}

/// The error of a request for a stream that got a single reply.
async fn single_reply(request: &Checked, reply: &Message) -> Error {
    if reply.status == Some(StatusCode::NO_RESPONDERS) {
        return request.no_responders().await;
    }
    match reply::decode::<IgnoredAny>(reply) {
        Err(error) => error,
        Ok(_) => request.about(Error::raised(
            ErrorCode::InvocationMismatch,
            format!(
                "agent '{}' replied once instead of streaming: use call()",
                request.name
            ),
        )),
    }
}
