//! Taking events: in order, with every loss told.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures::Stream;
use openagentmesh_protocol::{
    AgentName, ChunkHeaders, ContentType, ErrorCode, Headers, Status, Subject,
};
use serde::de::DeserializeOwned;
use tokio::time::Sleep;

use super::receive_buffer::{Buffer, Buffered};
use super::reply;
use super::sequence_tracker::SequenceTracker;
use crate::error::{Error, Result};
use crate::transport::Received;

/// Something that was published.
#[derive(Debug)]
pub struct Event<T> {
    /// What was published.
    pub data: T,
    message: Message,
}

impl<T> Event<T> {
    /// The subject that it was published to.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// The publisher, where the subject is that of one's events.
    #[must_use]
    pub fn agent(&self) -> Option<AgentName> {
        publisher(&self.message)
    }

    /// The subject on which an answer is awaited, where one is.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.message.reply.as_deref()
    }

    /// The value of header `name`, compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::transport::header(self.message.headers.as_ref()?, name)
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> Headers {
        crate::transport::plain_headers(self.message.headers.as_ref())
    }
}

/// The events of a subscription, in the order in which each producer published them; what awaiting a
/// [`Subscribe`](super::Subscribe) gives.
///
/// Each item is an [`Event`] with its data read as `T`, or an error. These errors do not end it:
///
/// * `chunk_sequence_error` where events were lost: they came faster than they were taken for long
///   (16,384 events or 64 MiB wait at most), or the connection was lost meanwhile. `details.lost`
///   says how many, where that is known;
/// * `handler_error` when an event is not what `T` says, or a publisher failed. Its host starts it
///   again; one of the published Python SDK does not.
///
/// After a `timeout` error there is nothing more. All events end when this connection is closed; those
/// of one agent end when its publisher does, too, with the last of its hosts that were heard.
///
/// # Cancel safety
///
/// Waiting for the next event can be given up and begun again. Dropping it ends the subscription.
#[must_use = "events come when they are asked for"]
pub struct Events<T>(Box<Receiving<T>>);

impl<T> Events<T> {
    pub(super) fn new(receiving: Receiving<T>) -> Self {
        Self(Box::new(receiving))
    }

    /// The next event; `None` when there are no more. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Those of the [items](Events).
    pub async fn next(&mut self) -> Option<Result<Event<T>>> {
        poll_fn(|context| self.0.poll_next(context)).await
    }
}

impl<T> Stream for Events<T> {
    type Item = Result<Event<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx)
    }
}

impl<T> std::fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// Makes the data of an event of its bytes.
pub(super) type Decode<T> = fn(&Message) -> Result<T>;

/// Reads JSON, and text as a JSON string.
pub(super) fn json<T: DeserializeOwned + 'static>(message: &Message) -> Result<T> {
    match ContentType::read(&Received(message.headers.as_ref())) {
        ContentType::Text => {
            let text = serde_json::to_vec(&String::from_utf8_lossy(&message.payload));
            reply::output("event", &text.unwrap_or_default())
        }
        ContentType::Bytes => Err(Error::raised(
            ErrorCode::HandlerError,
            format!(
                "the event on {} is bytes, not JSON: take it with raw()",
                message.subject
            ),
        )),
        _ => reply::output("event", &message.payload),
    }
}

/// Takes the bytes as they are.
pub(super) fn raw(message: &Message) -> Result<Bytes> {
    Ok(message.payload.clone())
}

/// A subscription.
pub(super) struct Receiving<T> {
    /// `None` once nothing more comes of it.
    buffer: Option<Buffer>,
    subject: String,
    timeout: Option<Duration>,
    /// Until when the next event must come, while it is waited for.
    patience: Option<Pin<Box<Sleep>>>,
    /// What is taken of all that arrives.
    scope: Scope,
    decode: Decode<T>,
    producers: SequenceTracker,
}

/// Which messages of a subscription are events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of one publisher: they end with it.
    Agent,
    /// Those of many, among other messages.
    Channel,
    /// All there are, whatever they are.
    Subject,
}

impl<T> Receiving<T> {
    pub(super) fn new(
        subscriber: Subscriber,
        subject: String,
        timeout: Option<Duration>,
        scope: Scope,
        decode: Decode<T>,
    ) -> Self {
        Self {
            buffer: Some(Buffer::start(subscriber)),
            subject,
            timeout,
            patience: None,
            scope,
            decode,
            producers: SequenceTracker::default(),
        }
    }

    /// The next event; `None` when there are no more. Whoever gives up waiting loses nothing.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event<T>>>> {
        while let Some(buffer) = &mut self.buffer {
            let next = match buffer.poll_next(context) {
                Poll::Ready(Some(Buffered::Message(message))) => self.take(message),
                Poll::Ready(Some(Buffered::Lost(lost))) => {
                    // The numbering goes on behind the gap that is told now.
                    self.producers.skip();
                    Some(Err(self.lost(lost)))
                }
                Poll::Ready(None) => {
                    self.buffer = None;
                    None
                }
                Poll::Pending => return self.poll_timeout(context).map(|error| Some(Err(error))),
            };
            if next.is_some() {
                self.patience = None;
                return Poll::Ready(next);
            }
        }
        Poll::Ready(None)
    }

    /// The error of an event that does not come in time.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let Some(timeout) = self.timeout else {
            return Poll::Pending;
        };
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(patience.as_mut().poll(context));
        self.buffer = None;
        Poll::Ready(Error::raised(
            ErrorCode::Timeout,
            format!(
                "nothing was published to {} within {timeout:?}",
                self.subject
            ),
        ))
    }

    /// The event that a message is, if it is one.
    fn take(&mut self, message: Message) -> Option<Result<Event<T>>> {
        if self.scope == Scope::Channel && publisher(&message).is_none() {
            return None;
        }
        let received = Received(message.headers.as_ref());
        let headers = ChunkHeaders::read(&received).unwrap_or_default();
        if self.scope == Scope::Subject {
            return Some(self.event(message));
        }
        let lost = self.producers.follow(&message.subject, &headers);
        let (failed, end) = (headers.status == Some(Status::Error), headers.end);
        let ends = end && self.scope == Scope::Agent && self.producers.is_empty();
        let event = if failed {
            Some(Err(reply::error(&message.payload)))
        } else if end && message.payload.is_empty() {
            lost.map(|lost| Err(self.lost(lost)))
        } else if let Some(lost) = lost {
            if let Some(buffer) = &mut self.buffer {
                buffer.put_back(message);
            }
            return Some(Err(self.lost(lost)));
        } else {
            Some(self.event(message))
        };
        if ends {
            self.buffer = None;
        }
        event
    }

    fn event(&self, message: Message) -> Result<Event<T>> {
        let data = (self.decode)(&message)?;
        Ok(Event { data, message })
    }

    fn lost(&self, lost: u64) -> Error {
        Error::raised(
            ErrorCode::ChunkSequenceError,
            format!(
                "{lost} events on {} were lost: they came faster than they were taken, or the \
                 connection was lost",
                self.subject
            ),
        )
        .with_detail("lost", lost)
    }
}

fn publisher(message: &Message) -> Option<AgentName> {
    match Subject::parse(&message.subject) {
        Subject::Events(name) => Some(name),
        _ => None,
    }
}
