//! Handing messages to the connection.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_nats::client::PublishError;
use async_nats::message::OutboundMessage;
use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;
use futures::future::{BoxFuture, Either, Ready, ready};
use futures::{FutureExt, Sink, SinkExt};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{coop, yield_now};
use tokio::time::Instant;

use crate::debt::Debt;
use crate::error::{Error, Result};
use crate::wire;

/// How many messages may wait to be handed over.
const PLACES: u32 = 1024;
/// How many must be about to publish, so that it pays off to wait for each other.
const COMPANY: usize = 8;
/// How long a message may wait for each of those that it leaves with.
const MOMENT: Duration = Duration::from_micros(20);

/// Takes messages at once as long as there is room for them, which saves their senders the client's
/// own, large futures.
///
/// The client's task sends what there is whenever it is woken, and the first message wakes it. When
/// many senders have something to say at the same time, as when the replies to their calls have come
/// together, each message would be written to the socket, and read by the server, on its own. So they
/// are gathered: a courier, which is a task, lets everybody else go first and then hands over all of
/// them. Where tasks compute for so long that this takes its time, messages are handed over
/// at once until it is repaid ([`Debt`]).
///
/// Whatever one task publishes arrives in its order.
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    queue: Mutex<Queue>,
    /// Places in the queue. Each is given back once its message is handed over.
    places: Semaphore,
    /// Wakes the courier.
    work: Notify,
    /// What gathering has cost others.
    debt: Debt,
    /// Whether the outbox was dropped, so that nothing more comes.
    is_over: AtomicBool,
}

struct Queue {
    /// The client once more, which takes a message at once if it has room.
    sink: Client,
    messages: Vec<OutboundMessage>,
    /// Whether the courier is under way, with messages that come before those that are added here.
    courier_is_out: bool,
    /// Whether the connection was closed, so that who publishes is to be told so.
    is_closed: bool,
}

/// What is left to do of a message: nothing, or to wait for room.
pub(crate) type Publishing<'o> = Either<Ready<Result<()>>, BoxFuture<'o, Result<()>>>;

impl Outbox {
    /// It must be called in a tokio runtime.
    pub(crate) fn new(client: &Client) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            queue: Mutex::new(Queue {
                sink: client.clone(),
                messages: Vec::new(),
                courier_is_out: false,
                is_closed: false,
            }),
            places: Semaphore::new(PLACES as usize),
            work: Notify::new(),
            debt: Debt::of(0),
            is_over: AtomicBool::new(false),
        });
        tokio::spawn(deliver(Arc::clone(&shared)));
        Self { shared }
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
        self.publish_among(0, subject, reply, headers, body)
    }

    /// The same when so many others publish something, too, or soon may.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish).
    pub(crate) fn publish_among(
        &self,
        others: usize,
        subject: impl Into<Subject>,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Publishing<'_> {
        if let Err(too_large) = wire::check_size(&self.shared.client, &headers, body.len()) {
            return Either::Left(ready(Err(too_large)));
        }
        let message = OutboundMessage {
            subject: subject.into(),
            reply,
            payload: body,
            headers: Some(headers),
        };
        // Who publishes all the time must let others go on once in a while.
        if !coop::has_budget_remaining() {
            return Either::Right(self.yield_first(message).boxed());
        }
        let gather = others >= COMPANY && {
            let is_repaid = self.shared.debt.is_repaid();
            if !is_repaid {
                self.shared.debt.repay();
            }
            is_repaid
        };
        match self.shared.take(message, gather) {
            Either::Left(taken) => Either::Left(ready(taken)),
            Either::Right(message) => Either::Right(self.wait_for_place(message).boxed()),
        }
    }

    /// Waits until nothing waits here any more.
    pub(crate) async fn emptied(&self) {
        // The semaphore is never closed.
        drop(self.shared.places.acquire_many(PLACES).await);
    }

    async fn yield_first(&self, message: OutboundMessage) -> Result<()> {
        yield_now().await;
        match self.shared.take(message, false) {
            Either::Left(taken) => taken,
            Either::Right(message) => self.wait_for_place(message).await,
        }
    }

    async fn wait_for_place(&self, message: OutboundMessage) -> Result<()> {
        // The semaphore is never closed.
        if let Ok(place) = self.shared.places.acquire().await {
            place.forget();
            self.shared.enqueue(&mut self.shared.lock(), message);
        }
        Ok(())
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.work.notify_one();
    }
}

impl Shared {
    /// Hands a message over or enqueues it. It comes back when there is no place.
    fn take(&self, message: OutboundMessage, gather: bool) -> Either<Result<()>, OutboundMessage> {
        let mut queue = self.lock();
        if (!gather || queue.is_closed)
            && !queue.courier_is_out
            && let Some(room) = queue.room()
        {
            let handed_over = room.and_then(|sink| sink.start_send(message));
            return Either::Left(handed_over.map_err(closed));
        }
        let Ok(place) = self.places.try_acquire() else {
            return Either::Right(message);
        };
        place.forget();
        self.enqueue(&mut queue, message);
        Either::Left(Ok(()))
    }

    /// Adds a message to the queue, in which it has a place.
    fn enqueue(&self, queue: &mut Queue, message: OutboundMessage) {
        queue.messages.push(message);
        if !mem::replace(&mut queue.courier_is_out, true) {
            self.work.notify_one();
        }
    }

    /// Fills `batch` with what waits. False when that is nothing; then messages may be handed over at once.
    fn fill(&self, batch: &mut Vec<OutboundMessage>) -> bool {
        let mut queue = self.lock();
        mem::swap(&mut queue.messages, batch);
        queue.courier_is_out = !batch.is_empty();
        queue.courier_is_out
    }

    /// Nothing that holds the lock can panic halfway through a change.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The sink, if the connection has room for a message, or is closed.
    fn room(&mut self) -> Option<Result<Pin<&mut Client>, PublishError>> {
        let mut sink = Pin::new(&mut self.sink);
        let mut context = Context::from_waker(Waker::noop());
        match sink.as_mut().poll_ready(&mut context) {
            Poll::Ready(ready) => Some(ready.map(|()| sink)),
            // It keeps its place in the queue of those who wait, and whoever comes next has it.
            Poll::Pending => None,
        }
    }
}

/// Hands over what is enqueued, until the outbox is dropped.
async fn deliver(shared: Arc<Shared>) {
    let mut sink = shared.client.clone();
    let mut batch = Vec::new();
    loop {
        shared.work.notified().await;
        let begun = Instant::now();
        // Everybody who can go on does so first, and adds what it has to say.
        yield_now().await;
        let waited = begun.elapsed();
        let mut gathered = 0;
        while shared.fill(&mut batch) {
            let count = batch.len();
            // There are no more than there are places.
            let handed_over = tokio::task::unconstrained(hand_over(&mut sink, &mut batch)).await;
            if let Err(error) = handed_over {
                // Whoever waits for an answer is told so by its subscription, which ends as well.
                tracing::debug!(%error, "messages were not sent");
                shared.lock().is_closed = true;
            }
            shared.places.add_permits(count);
            gathered += count;
        }
        if waited > MOMENT.saturating_mul(u32::try_from(gathered).unwrap_or(u32::MAX)) {
            shared.debt.add(waited);
        }
        if shared.is_over.load(Ordering::Relaxed) {
            break;
        }
    }
}

async fn hand_over(
    sink: &mut Client,
    batch: &mut Vec<OutboundMessage>,
) -> Result<(), PublishError> {
    for message in batch.drain(..) {
        sink.feed(message).await?;
    }
    Ok(())
}

fn closed(error: PublishError) -> Error {
    wire::closed(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use async_nats::Subscriber;
    use futures::StreamExt;
    use openagentmesh_local::LocalServer;

    use super::*;

    /// How many others are enough for a message to be gathered.
    const MANY: usize = 100;

    /// An outbox, and a subscription to what goes through it.
    async fn outbox() -> (LocalServer, Client, Outbox, Subscriber) {
        let server = LocalServer::start().await.unwrap();
        let client = async_nats::connect(server.url()).await.unwrap();
        let subscriber = client.subscribe("to").await.unwrap();
        let outbox = Outbox::new(&client);
        (server, client, outbox, subscriber)
    }

    impl Outbox {
        fn say(&self, others: usize, what: u32) -> Publishing<'_> {
            let body = Bytes::from(what.to_string());
            self.publish_among(others, "to", None, HeaderMap::new(), body)
        }

        /// How many messages wait here.
        fn waiting(&self) -> usize {
            PLACES as usize - self.shared.places.available_permits()
        }
    }

    async fn arrives(subscriber: &mut Subscriber, messages: std::ops::Range<u32>) {
        for message in messages {
            let arrived = tokio::time::timeout(Duration::from_secs(20), subscriber.next());
            let arrived = arrived.await.unwrap().unwrap();
            assert_eq!(arrived.payload, message.to_string());
        }
    }

    #[tokio::test]
    async fn what_one_task_says_arrives_in_its_order() {
        let (_server, _client, outbox, mut subscriber) = outbox().await;
        for message in 0..10_000 {
            // Now and then gathered, for a while or once.
            let others = if message % 1000 < 300 || message % 7 == 0 {
                MANY
            } else {
                0
            };
            outbox.say(others, message).await.unwrap();
        }
        arrives(&mut subscriber, 0..10_000).await;
    }

    #[tokio::test]
    async fn what_many_say_leaves_together() {
        let (_server, _client, outbox, mut subscriber) = outbox().await;
        outbox.say(0, 0).await.unwrap();
        assert_eq!(outbox.waiting(), 0, "it has no company");
        for message in 1..10 {
            outbox.say(MANY, message).await.unwrap();
        }
        assert_eq!(outbox.waiting(), 9);
        outbox.say(0, 10).await.unwrap();
        assert_eq!(outbox.waiting(), 10, "it comes after the others");
        outbox.emptied().await;
        assert_eq!(outbox.waiting(), 0);
        arrives(&mut subscriber, 0..11).await;
    }

    #[tokio::test]
    async fn who_finds_no_place_waits() {
        let (_server, _client, outbox, mut subscriber) = outbox().await;
        for message in 0..PLACES {
            let said = outbox.say(MANY, message);
            assert!(matches!(said, Either::Left(_)));
            said.await.unwrap();
        }
        let said = outbox.say(MANY, PLACES);
        assert!(matches!(said, Either::Right(_)));
        said.await.unwrap();
        arrives(&mut subscriber, 0..PLACES + 1).await;
    }

    #[tokio::test]
    async fn nobody_waits_long_for_those_who_compute() {
        let (_server, _client, outbox, mut subscriber) = outbox().await;
        outbox.say(MANY, 0).await.unwrap();
        // It begins when the courier has.
        let computes = tokio::spawn(async { std::thread::sleep(MOMENT * 100) });
        outbox.emptied().await;
        computes.await.unwrap();
        let mut messages = 1;
        while !outbox.shared.debt.is_repaid() {
            outbox.say(MANY, messages).await.unwrap();
            assert_eq!(outbox.waiting(), 0, "it goes at once");
            messages += 1;
        }
        assert!(messages > 40, "{messages} of 50 µs each repaid 2 ms");
        outbox.say(MANY, messages).await.unwrap();
        assert_eq!(outbox.waiting(), 1);
        arrives(&mut subscriber, 0..messages + 1).await;
    }

    #[tokio::test]
    async fn what_waits_is_sent_when_the_outbox_is_dropped() {
        let (_server, _client, outbox, mut subscriber) = outbox().await;
        for message in 0..10 {
            outbox.say(MANY, message).await.unwrap();
        }
        drop(outbox);
        arrives(&mut subscriber, 0..10).await;
    }

    #[tokio::test]
    async fn a_closed_connection_is_told() {
        let (_server, client, outbox, mut subscriber) = outbox().await;
        client.drain().await.unwrap();
        while subscriber.next().await.is_some() {}
        // What was gathered before anybody knew of it is lost with the connection.
        let told = async {
            while outbox.say(MANY, 0).await.is_ok() {
                outbox.emptied().await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(20), told).await;
        assert!(told.is_ok());
    }
}
