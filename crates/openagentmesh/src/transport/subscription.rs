//! A subscription that outlives the client by which it was made.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_nats::client::SubscribeError;
use async_nats::{Client, Message, Subject, Subscriber, UnsubscribeError};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::Notify;

use super::client_slot::ClientSlot;
use crate::util::sync::Mutex;

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
    /// `subscriber` was made by the client of `epoch`. Without one, the next client subscribes.
    pub(super) fn new(
        slot: ClientSlot,
        number: u64,
        renewal: Arc<Renewal>,
        subscriber: Option<Subscriber>,
        epoch: u64,
    ) -> Self {
        let state = match subscriber {
            Some(subscriber) => State::Subscribed(subscriber),
            None => renewing(&slot, &renewal),
        };
        Self {
            slot,
            number,
            renewal,
            state,
            epoch,
            is_unsubscribed: false,
        }
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
                        self.epoch = epoch;
                        State::Subscribed(subscriber)
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

/// The part of a subscription that a further client needs, and where that client leaves its subscriber.
pub(super) struct Renewal {
    subject: Subject,
    queue_group: Option<String>,
    /// The subscriber of the newest client, with its epoch.
    renewed: Mutex<Option<(Subscriber, u64)>>,
    /// Notified when `renewed` is set.
    is_renewed: Notify,
}

impl Renewal {
    pub(super) fn new(subject: Subject, queue_group: Option<String>) -> Self {
        Self {
            subject,
            queue_group,
            renewed: Mutex::default(),
            is_renewed: Notify::new(),
        }
    }

    pub(super) async fn subscribe(&self, client: &Client) -> Result<Subscriber, SubscribeError> {
        let subject = self.subject.clone();
        match &self.queue_group {
            Some(group) => client.queue_subscribe(subject, group.clone()).await,
            None => client.subscribe(subject).await,
        }
    }

    pub(super) fn renew(&self, subscriber: Subscriber, epoch: u64) {
        let before = self.renewed.lock().replace((subscriber, epoch));
        // Dropped without the lock.
        drop(before);
        self.is_renewed.notify_one();
    }

    /// Waits for the subscriber of the next client. Cancel-safe.
    async fn renewed(&self) -> (Subscriber, u64) {
        loop {
            let renewed = self.renewed.lock().take();
            match renewed {
                Some(renewed) => return renewed,
                None => self.is_renewed.notified().await,
            }
        }
    }
}
