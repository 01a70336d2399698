//! Taking the chunks of a stream: in order, without loss, and no faster than they are read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openagentmesh_protocol::{ChunkHeaders, ErrorCode, Feedback, Status};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::credit_window::Window;
use super::deadline::Deadline;
use super::receive_buffer::{Buffer, Buffered};
use super::reply;
use super::request::Checked;
use crate::error::{Error, Result};
use crate::transport::PendingReply;
use crate::transport::{self, Outgoing, Received};

/// The chunks of a streamed reply, in order and without loss; what awaiting a
/// [`StreamRequest`](super::StreamRequest) gives.
///
/// Each item is a chunk read as `Out`, or the error that ends the stream:
///
/// * any error that the agent answers, `invalid_input` before the first chunk or `handler_error`
///   after some among them;
/// * `not_found` when nobody serves the name, `not_available` when the catalog lists it all the
///   same;
/// * `timeout` when a chunk did not come in time, or the stream did not end in time;
/// * `chunk_sequence_error` when a chunk was lost on its way;
/// * `handler_error` when a chunk is not what `Out` says;
/// * `connection_failed` when the connection is closed.
///
/// After an error there is nothing more. The host makes no more chunks than are taken here, give or
/// take a [`window`](super::StreamRequest::window).
///
/// # Cancel safety
///
/// Waiting for the next chunk can be given up and begun again. Dropping the stream ends the work at
/// the host: the handler's stream is dropped.
#[must_use = "chunks come when they are asked for"]
pub struct Chunks<Out>(BoxStream<'static, Result<Out>>);

impl<Out: DeserializeOwned + Send + 'static> Chunks<Out> {
    pub(super) fn new(receiving: Receiving) -> Self {
        let receiving = Some(Box::new(receiving));
        let chunks = futures::stream::unfold(receiving, |receiving| async move {
            let mut receiving = receiving?;
            let chunk = match receiving.next().await {
                Ok(None) => return None,
                Ok(Some(body)) => {
                    reply::output("chunk", &body).map_err(|error| receiving.request.about(error))
                }
                Err(error) => Err(error),
            };
            let more = chunk.is_ok().then_some(receiving);
            Some((chunk, more))
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

/// A stream on its way. Dropped before it has ended, it tells the host so: by what `expected` does,
/// and by the end of its subscription.
pub(super) struct Receiving {
    request: Checked,
    source: Source,
    /// Takes the server's word that nobody is there, and the host's probes.
    expected: PendingReply,
    /// Whether that word may still come.
    unserved: bool,
    next_seq: u64,
    window: Window,
    feedback: Option<Subject>,
    deadline: Option<Deadline>,
    chunk_timeout: Duration,
}

/// What comes of a request for a stream.
enum Delivery {
    Chunk(Message),
    /// Nobody is there, or whoever is does not stream.
    Answer(Message),
}

enum Source {
    /// The host sends no more than was asked for.
    Credited(Subscriber),
    /// It sends as fast as it can.
    Buffered(Buffer),
    /// Between the two.
    Closed,
}

impl Receiving {
    pub(super) fn new(
        request: Checked,
        subscriber: Subscriber,
        expected: PendingReply,
        window: Window,
        deadline: Option<Deadline>,
        chunk_timeout: Duration,
    ) -> Self {
        Self {
            request,
            source: Source::Credited(subscriber),
            expected,
            unserved: true,
            next_seq: 0,
            window,
            feedback: None,
            deadline,
            chunk_timeout,
        }
    }

    /// The next chunk's body; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        // Chunks that wait here already do not make the time longer.
        if let Some(passed) = self.deadline.filter(|deadline| deadline.has_passed()) {
            return Err(self.unfinished(passed));
        }
        // Those need no timer either.
        match self.receive().now_or_never() {
            Some(Ok(Delivery::Chunk(message))) => self.read(message),
            Some(Ok(Delivery::Answer(answer))) => Err(self.answered_once(&answer).boxed().await),
            Some(Err(error)) => Err(error),
            None => self.wait().boxed().await,
        }
    }

    async fn wait(&mut self) -> Result<Option<Bytes>> {
        // A task that has had its share is interrupted though there is more.
        if tokio::task::coop::has_budget_remaining() {
            self.window.wait();
        }
        let patience = Deadline::after(self.chunk_timeout);
        let until = self.deadline.map_or(patience, |end| end.min(patience));
        match tokio::time::timeout_at(until.at, self.receive()).await {
            Ok(Ok(Delivery::Chunk(message))) => self.read(message),
            Ok(Ok(Delivery::Answer(answer))) => Err(self.answered_once(&answer).await),
            Ok(Err(error)) => Err(error),
            Err(_) if until == patience => {
                let what = format_args!("sent no chunk {until}");
                Err(self.request.timed_out(what))
            }
            Err(_) => Err(self.unfinished(until)),
        }
    }

    fn unfinished(&self, deadline: Deadline) -> Error {
        let what = format_args!("did not end its stream {deadline}");
        self.request.timed_out(what)
    }

    /// The next message of the stream. Cancel-safe: what was not returned is not lost.
    async fn receive(&mut self) -> Result<Delivery> {
        self.give_credit().await?;
        let arrival = tokio::select! {
            biased;
            message = self.source.next() => Delivery::Chunk(message?),
            answer = self.expected.reply(), if self.unserved => Delivery::Answer(answer?),
        };
        self.unserved = false;
        if let Delivery::Chunk(message) = &arrival
            && self.next_seq == 0
        {
            self.source.buffer_if_uncredited(message);
        }
        Ok(arrival)
    }

    /// Why an answer came where none is expected: nobody is there, or whoever is does not stream.
    async fn answered_once(&self, answer: &Message) -> Error {
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return self.request.nobody_serves().await;
        }
        match reply::decode::<IgnoredAny>(answer) {
            Err(error) => error,
            Ok(_) => self.request.about(Error::raised(
                ErrorCode::InvocationMismatch,
                format!(
                    "agent '{}' answered once instead of streaming: use call()",
                    self.request.name
                ),
            )),
        }
    }

    /// Gives credit if it is due.
    async fn give_credit(&mut self) -> Result<()> {
        let (Some(credit), Some(feedback)) = (self.window.credit(), self.feedback.clone()) else {
            return Ok(());
        };
        let mut headers = Outgoing::default();
        Feedback::Credit(credit).write(&mut headers);
        let publisher = &self.request.session().connection.publisher;
        let given = publisher.publish(feedback, None, headers.0, Bytes::new());
        given.await?;
        self.window.give(credit);
        Ok(())
    }

    /// The chunk that a message carries; `None` for the end marker.
    fn read(&mut self, message: Message) -> Result<Option<Bytes>> {
        let received = Received(message.headers.as_ref());
        let headers = ChunkHeaders::read(&received).map_err(|error| {
            self.request.about(Error::raised(
                ErrorCode::ChunkSequenceError,
                format!("a chunk cannot be read: {error}"),
            ))
        })?;
        if headers.status == Some(Status::Error) {
            self.expected.finish();
            return Err(reply::error(&message.payload));
        }
        let end_without_number = headers.end && headers.seq.is_none();
        if headers.seq != Some(self.next_seq) && !end_without_number {
            return Err(self.out_of_sequence(headers.seq));
        }
        if headers.end {
            self.expected.finish();
            return Ok(None);
        }
        self.next_seq += 1;
        self.window.take(message.length);
        if let Some(feedback) = message.reply {
            if self.feedback.is_none() {
                self.expected.set_cancel_subject(&feedback);
            }
            self.feedback = Some(feedback);
        }
        Ok(Some(message.payload))
    }

    fn out_of_sequence(&self, got: Option<u64>) -> Error {
        let expected = self.next_seq;
        let got_text = got.map_or("one without a number".to_owned(), |got| got.to_string());
        let error = Error::raised(
            ErrorCode::ChunkSequenceError,
            format!(
                "chunk {expected} of agent '{}' was lost: {got_text} came in its place",
                self.request.name
            ),
        )
        .with_detail("expected_seq", expected)
        .with_detail("got_seq", got);
        self.request.about(error)
    }
}

impl Source {
    async fn next(&mut self) -> Result<Message> {
        match self {
            Self::Credited(subscriber) => subscriber
                .next()
                .await
                .ok_or_else(|| transport::closed("it was closed before the stream ended")),
            Self::Buffered(buffer) => match buffer.next().await {
                Some(Buffered::Message(message)) => Ok(message),
                Some(Buffered::Lost(lost)) => Err(Error::raised(
                    ErrorCode::ChunkSequenceError,
                    format!(
                        "the chunks of this stream were taken too slowly: {} waited and {lost} \
                         more were dropped; its host does not heed how fast they are taken",
                        Buffer::CHUNKS
                    ),
                )
                .with_detail("lost", lost)),
                None => Err(transport::closed("it was closed before the stream ended")),
            },
            Self::Closed => Err(transport::closed("it was closed before the stream ended")),
        }
    }

    /// A chunk that names nobody to give credit to comes from a host that sends as fast as it can.
    fn buffer_if_uncredited(&mut self, message: &Message) {
        if message.reply.is_some() || !matches!(self, Self::Credited(_)) {
            return;
        }
        if let Self::Credited(subscriber) = std::mem::replace(self, Self::Closed) {
            *self = Self::Buffered(Buffer::start(subscriber));
        }
    }
}
