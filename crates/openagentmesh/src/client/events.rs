//! Receiving events: in order, with every loss reported.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use futures::Stream;
use openagentmesh_protocol::{
    AgentName, ChunkHeaders, ContentType, ErrorCode, Headers, Status, Subject,
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::receive_buffer::ReceiveBuffer;
use super::reply;
use super::sequence_tracker::SequenceTracker;
use crate::error::{Error, Result};
use crate::transport::{ConnectionMonitor, DenialWatch, Queued, Received, Subscription};

/// A published event.
#[derive(Debug)]
pub struct Event<T> {
    /// The decoded data.
    pub data: T,
    message: Message,
}

impl<T> Event<T> {
    /// The subject to which the event was published.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// The publishing agent, if the subject is that of an agent's events.
    #[must_use]
    pub fn agent(&self) -> Option<AgentName> {
        publisher(&self.message)
    }

    /// The subject for a reply, if the publisher wants one.
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

/// The events of a subscription, in the order in which each producer published them; made by awaiting a
/// [`Subscribe`](crate::Subscribe).
///
/// Each item is an [`Event`] with its data decoded as `T`, or an error. These errors do not end the events:
///
/// * `chunk_sequence_error` where events were lost: they were taken too slowly (at most 16,384 events or
///   64 MiB wait), or the connection was lost in the meantime. `details.lost` is their number, if it is
///   known. The events of a subject have no numbers: after a reconnection, the first one follows an error with
///   `details.reconnected`, because others may be missing before it;
/// * `unexpected_reply` when an event does not fit `T`;
/// * `handler_error`, or any other code, when a publisher failed. Its host starts it again; a host of the
///   published Python SDK does not.
///
/// The events end after a `timeout` error, after `connection_denied` when the server withdraws the permission,
/// and when this connection is closed. The events of one agent also
/// end when the last of its hosts that have published has ended.
///
/// # Cancel safety
///
/// Dropping the future of [`next`](Self::next) loses no event. Dropping the events ends the subscription.
#[must_use = "events arrive when they are polled"]
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

/// Decodes the data of an event.
pub(super) type Decode<T> = fn(&Message) -> Result<T>;

/// Decodes JSON; text is decoded as a JSON string.
pub(super) fn json<T: DeserializeOwned + 'static>(message: &Message) -> Result<T> {
    match ContentType::read(&Received(message.headers.as_ref())) {
        ContentType::Text => {
            let text = serde_json::to_vec(&String::from_utf8_lossy(&message.payload));
            reply::output("event", &text.unwrap_or_default())
        }
        ContentType::Bytes => Err(reply::unexpected(format!(
            "unexpected event: the event on {} is bytes, not JSON; use raw()",
            message.subject
        ))),
        _ => reply::output("event", &message.payload),
    }
}

/// Returns the bytes unchanged.
pub(super) fn raw(message: &Message) -> Result<Bytes> {
    Ok(message.payload.clone())
}

/// A subscription.
pub(super) struct Receiving<T> {
    /// `None` once the events have ended.
    buffer: Option<ReceiveBuffer>,
    subject: String,
    connection: ConnectionMonitor,
    /// Denials of the subscription after its start.
    denied: Option<DenialWatch>,
    timeout: Option<Duration>,
    /// The timer of the next event, while that is awaited.
    timer: Option<Pin<Box<Sleep>>>,
    scope: Scope,
    decode: Decode<T>,
    sequences: SequenceTracker,
    /// Counts reconnections, after which events without numbers may be missing.
    reconnections: watch::Receiver<u64>,
}

/// The messages of a subscription that are events, and the end of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The events of one agent: they end with it.
    Agent,
    /// The events of many agents. The subscription receives their requests, too.
    Channel,
    /// All messages.
    Subject,
}

impl<T> Receiving<T> {
    pub(super) fn new(
        subscription: Subscription,
        subject: String,
        connection: ConnectionMonitor,
        timeout: Option<Duration>,
        scope: Scope,
        decode: Decode<T>,
    ) -> Self {
        Self {
            buffer: Some(ReceiveBuffer::start(subscription, connection.ended())),
            reconnections: connection.reconnections(),
            subject,
            connection,
            denied: None,
            timeout,
            timer: None,
            scope,
            decode,
            sequences: SequenceTracker::default(),
        }
    }

    pub(super) fn set_denied(&mut self, denied: DenialWatch) {
        self.denied = Some(denied);
    }

    /// The next event; `None` when the events have ended.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event<T>>>> {
        while let Some(buffer) = &mut self.buffer {
            let next = match buffer.poll_next(context) {
                Poll::Ready(Some(Queued::Message(message))) => self.take(message),
                Poll::Ready(Some(Queued::Lost(lost))) => {
                    // This loss is reported now, and must not be reported as a gap.
                    self.sequences.skip_gap();
                    Some(Err(self.lost(lost)))
                }
                // Without credit, there is no message beyond it.
                Poll::Ready(None | Some(Queued::Exceeded(_))) => {
                    self.buffer = None;
                    None
                }
                Poll::Pending => {
                    let end = match self.poll_denied(context) {
                        Poll::Ready(denied) => Poll::Ready(denied),
                        Poll::Pending => self.poll_timeout(context),
                    };
                    return end.map(|error| Some(Err(error)));
                }
            };
            if next.is_some() {
                self.timer = None;
                return Poll::Ready(next);
            }
        }
        Poll::Ready(None)
    }

    /// The error of a subscription that the server has denied, for example after a reconnect.
    fn poll_denied(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let Some(watch) = &mut self.denied else {
            return Poll::Pending;
        };
        let denied = ready!(pin!(watch.denied()).poll(context));
        self.buffer = None;
        Poll::Ready(denied)
    }

    /// The error of an event that does not arrive in time.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let Some(timeout) = self.timeout else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(timer.as_mut().poll(context));
        self.buffer = None;
        let message = format!(
            "no event was published to {} within {timeout:?}{}",
            self.subject,
            self.connection.lost()
        );
        let error = Error::raised(ErrorCode::Timeout, message);
        Poll::Ready(self.connection.with_loss(error))
    }

    /// The event in a message; `None` for other messages.
    fn take(&mut self, message: Message) -> Option<Result<Event<T>>> {
        if self.scope == Scope::Channel && publisher(&message).is_none() {
            return None;
        }
        let received = Received(message.headers.as_ref());
        let headers = ChunkHeaders::read(&received).unwrap_or_default();
        if self.scope == Scope::Subject {
            if self.reconnections.has_changed().unwrap_or(false) {
                self.reconnections.mark_unchanged();
                if let Some(buffer) = &mut self.buffer {
                    buffer.put_back(message);
                }
                return Some(Err(self.gap()));
            }
            return Some(self.event(message));
        }
        let lost = self.sequences.observe(&message.subject, &headers);
        let (failed, end) = (headers.status == Some(Status::Error), headers.end);
        let ends = end && self.scope == Scope::Agent && self.sequences.is_empty();
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

    /// The error of a subscription whose events have no numbers, after a reconnection.
    fn gap(&self) -> Error {
        Error::raised(
            ErrorCode::ChunkSequenceError,
            format!(
                "events on {} may be missing: the connection was lost, and events that were published until it was \
                 restored did not arrive",
                self.subject
            ),
        )
        .with_detail("reconnected", true)
    }

    fn lost(&self, lost: u64) -> Error {
        Error::raised(
            ErrorCode::ChunkSequenceError,
            format!(
                "{lost} events on {} were lost: they were taken too slowly, or the connection was lost",
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
