//! Handing messages to the connection.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use async_nats::client::PublishError;
use async_nats::client::traits::Publisher;
use async_nats::message::OutboundMessage;
use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;
use futures::future::{BoxFuture, Either, Ready, ready};
use futures::{FutureExt, Sink};

use crate::error::{Error, Result};
use crate::wire;

/// Takes messages at once as long as there is room for them, which saves their senders the client's
/// own, large futures.
pub(crate) struct Outbox {
    client: Client,
    /// The same client as a sink.
    sink: Mutex<Client>,
}

/// What is left to do of a message: nothing, or to wait for room.
pub(crate) type Publishing<'o> = Either<Ready<Result<()>>, BoxFuture<'o, Result<()>>>;

impl Outbox {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            sink: Mutex::new(client.clone()),
        }
    }

    /// Publishes a message, with a reply subject if one is given.
    ///
    /// # Errors
    ///
    /// `payload_too_large` when headers and body exceed the server's limit, `connection_failed`
    /// when the connection is closed.
    pub(crate) fn publish(
        &self,
        subject: impl Into<Subject>,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Publishing<'_> {
        if let Err(too_large) = wire::check_size(&self.client, &headers, body.len()) {
            return Either::Left(ready(Err(too_large)));
        }
        let message = OutboundMessage {
            subject: subject.into(),
            reply,
            payload: body,
            headers: Some(headers),
        };
        let Some(room) = self.room() else {
            return Either::Right(self.wait_for_room(message).boxed());
        };
        let handed_over = room.and_then(|mut sink| Pin::new(&mut *sink).start_send(message));
        Either::Left(ready(handed_over.map_err(closed)))
    }

    /// The sink, if it is free and the connection has room for a message, or is closed.
    fn room(&self) -> Option<Result<MutexGuard<'_, Client>, PublishError>> {
        let mut sink = self.sink.try_lock().ok()?;
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut *sink).poll_ready(&mut context) {
            Poll::Ready(ready) => Some(ready.map(|()| sink)),
            // It keeps its place in the queue of those who wait, and whoever comes next has it.
            Poll::Pending => None,
        }
    }

    async fn wait_for_room(&self, message: OutboundMessage) -> Result<()> {
        let published = self.client.publish_message(message).await;
        published.map_err(closed)
    }
}

fn closed(error: PublishError) -> Error {
    wire::closed(error.to_string())
}
