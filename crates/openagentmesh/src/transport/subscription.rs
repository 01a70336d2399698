//! A subscription that outlives the client by which it was made.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_nats::{Message, Subject, Subscriber, UnsubscribeError};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};

use super::client_slot::{ClientSlot, is_dead};
use super::headers::closed;
use super::renewal::Renewal;
use crate::error::Result;

/// A subscription that each further client of a connection makes again. Yields messages until the connection is
/// closed. Messages that arrive while there is no client are lost, as on a lost connection.
pub(crate) struct Subscription {
    slot: ClientSlot,
    /// Identifies the subscription in the slot.
    number: u64,
    renewal: Arc<Renewal>,
    state: State,
    /// The epoch of the client of `state`.
    epoch: u64,
    /// Set by [`unsubscribe`](Self::unsubscribe).
    is_unsubscribed: bool,
}

enum State {
    Subscribed(Subscriber),
    /// Waits for the report of the client's death. `None` means that there is none.
    Ended(BoxFuture<'static, Option<()>>),
    /// Waits for the next client. `None` means that there is none.
    Renewing(BoxFuture<'static, Option<(Subscriber, u64)>>),
    Closed,
}

/// An event of a [`Subscription`].
pub(crate) enum Received {
    Message(Message),
    /// The client has died, and with it every request that was made by it. The value is its epoch.
    Interrupted(u64),
}

impl Subscription {
    /// Subscribes to `subject`, in queue group `queue_group` if one is given. Each further client makes the
    /// subscription again, before any message is published by it.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn start(
        slot: &ClientSlot,
        subject: impl Into<Subject>,
        queue_group: Option<String>,
    ) -> Result<Self> {
        let renewal = Arc::new(Renewal::new(subject.into(), queue_group));
        let _adding = slot.keep_client().await;
        let (client, epoch) = slot.client_of_epoch();
        let state = match renewal.subscribe(&client).await {
            Ok(subscriber) => State::Subscribed(subscriber),
            // The next client subscribes.
            Err(_) if slot.may_be_replaced() && is_dead(&client) => renewing(slot, &renewal),
            Err(error) => return Err(closed(error.to_string())),
        };
        Ok(Self {
            slot: slot.clone(),
            number: slot.add(&renewal),
            renewal,
            state,
            epoch,
            is_unsubscribed: false,
        })
    }

    /// The next message; `None` when the connection is closed, or the subscription has ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        StreamExt::next(self).await
    }

    /// The next event; `None` when the connection is closed. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Option<Received> {
        std::future::poll_fn(|context| self.poll_receive(context)).await
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<Received>> {
        loop {
            self.state = match &mut self.state {
                State::Subscribed(subscriber) => {
                    if let Some(message) = ready!(subscriber.poll_next_unpin(context)) {
                        return Poll::Ready(Some(Received::Message(message)));
                    }
                    if self.is_unsubscribed {
                        State::Closed
                    } else {
                        let (slot, epoch) = (self.slot.clone(), self.epoch);
                        State::Ended(async move { slot.death(epoch).await }.boxed())
                    }
                }
                State::Ended(death) => match ready!(death.poll_unpin(context)) {
                    Some(()) => {
                        self.state = renewing(&self.slot, &self.renewal);
                        return Poll::Ready(Some(Received::Interrupted(self.epoch)));
                    }
                    None => State::Closed,
                },
                State::Renewing(renewed) => match ready!(renewed.poll_unpin(context)) {
                    Some((subscriber, epoch)) => {
                        let is_next = epoch <= self.epoch + 2;
                        self.epoch = epoch;
                        self.state = State::Subscribed(subscriber);
                        if is_next {
                            continue;
                        }
                        // A client between both has died, too, with the requests that were made by it.
                        return Poll::Ready(Some(Received::Interrupted(epoch.saturating_sub(2))));
                    }
                    None => State::Closed,
                },
                State::Closed => return Poll::Ready(None),
            };
        }
    }

    /// Ends the subscription at the server after `messages` messages.
    pub(crate) async fn unsubscribe_after(
        &mut self,
        messages: u64,
    ) -> Result<(), UnsubscribeError> {
        match &mut self.state {
            State::Subscribed(subscriber) => subscriber.unsubscribe_after(messages).await,
            _ => Ok(()),
        }
    }

    /// Ends the subscription. The messages that have arrived before are still yielded.
    pub(crate) async fn unsubscribe(&mut self) -> Result<(), UnsubscribeError> {
        self.is_unsubscribed = true;
        self.slot.forget(self.number);
        match &mut self.state {
            State::Subscribed(subscriber) => subscriber.unsubscribe().await,
            _ => {
                self.state = State::Closed;
                Ok(())
            }
        }
    }
}

fn renewing(slot: &ClientSlot, renewal: &Arc<Renewal>) -> State {
    let (slot, renewal) = (slot.clone(), Arc::clone(renewal));
    State::Renewing(
        async move {
            let closed = slot.closed();
            closed.run_until_cancelled(renewal.renewed()).await
        }
        .boxed(),
    )
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match ready!(self.poll_receive(context)) {
                Some(Received::Message(message)) => return Poll::Ready(Some(message)),
                Some(Received::Interrupted(_)) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.slot.forget(self.number);
    }
}
