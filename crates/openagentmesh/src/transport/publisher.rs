//! Handing messages to the connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_nats::client::traits::Publisher as _;
use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::message::OutboundMessage;
use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;
use futures::future::{BoxFuture, Either, Ready, ready};
use futures::{FutureExt, Sink};
use openagentmesh_protocol::ErrorCode;
use tokio::sync::Notify;
use tokio::task::{coop, unconstrained, yield_now};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::transport;
use crate::transport::debt::Debt;

/// How many messages are gathered at most.
const PLACES: usize = 1024;
/// How many others must be about to publish, so that it pays off to wait for them.
const COMPANY: usize = 7;
/// How long gathering may take for each message that is gathered, and in all.
const MOMENT: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(1);
/// Who publishes does not wait for a courier that has not come for so long.
const LATE: Duration = Duration::from_micros(200);
/// How long a message is kept at most, but for what the timer adds.
const SWEEP: Duration = Duration::from_millis(5);
/// How many times it must pay off to excuse one time that it does not.
const EXCUSE: u32 = 64;

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
/// Who makes many messages in a row keeps them here until it gives its thread back, for the same reason.
///
/// Whatever is neither gathered nor kept is handed over at once, behind all that was before: so what a
/// task publishes arrives in its order.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    queue: Mutex<Queue>,
    /// Wakes the courier.
    work: Notify,
    /// Tells that there is something kept.
    kept: Notify,
    /// What gathering has cost others.
    debt: Debt,
    /// Whether the publisher was dropped, so that nothing more comes.
    is_over: AtomicBool,
}

struct Queue {
    /// The client once more, which takes a message at once if it has room.
    sink: Client,
    gathered: VecDeque<OutboundMessage>,
    /// Since when the courier is called and did not come.
    called: Option<Instant>,
    /// Whether the connection was found closed.
    is_closed: bool,
}

/// What is left to do of a message: nothing, or to wait for room.
pub(crate) type Publishing<'o> = Either<Ready<Result<()>>, BoxFuture<'o, Result<()>>>;

impl Publisher {
    /// It must be called in a tokio runtime.
    pub(crate) fn new(client: &Client) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            queue: Mutex::new(Queue {
                sink: client.clone(),
                gathered: VecDeque::new(),
                called: None,
                is_closed: false,
            }),
            work: Notify::new(),
            kept: Notify::new(),
            debt: Debt::new(0, EXCUSE),
            is_over: AtomicBool::new(false),
        });
        tokio::spawn(deliver(Arc::clone(&shared)));
        tokio::spawn(sweep(Arc::clone(&shared)));
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

    /// The same when so many others publish something, too, or soon may. If it is gathered with theirs, nobody
    /// is told that the connection is closed.
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
        let message = match self.message(subject, reply, headers, body) {
            Ok(message) => message,
            Err(too_large) => return Either::Left(ready(Err(too_large))),
        };
        // Who publishes all the time must let others go on once in a while.
        if !coop::has_budget_remaining() {
            return Either::Right(self.wait_for_room(message).boxed());
        }
        let message = if others >= COMPANY && self.shared.may_gather() {
            self.shared.gather(message)
        } else {
            Some(message)
        };
        let Some(message) = message else {
            return Either::Left(ready(Ok(())));
        };
        match self.shared.lock().hand_over(message) {
            Ok(handed_over) => Either::Left(ready(handed_over)),
            Err(message) => Either::Right(self.wait_for_room(*message).boxed()),
        }
    }

    /// Keeps a message until it is [released](Self::release), or anybody publishes something, which goes
    /// behind it. It leaves by itself if that does not happen soon.
    ///
    /// # Errors
    ///
    /// `payload_too_large` when headers and body exceed the server's limit.
    pub(crate) fn keep(
        &self,
        subject: Subject,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<()> {
        let message = self.message(subject, reply, headers, body)?;
        let mut queue = self.shared.lock();
        if queue.gathered.is_empty() {
            self.shared.kept.notify_one();
        }
        queue.gathered.push_back(message);
        Ok(())
    }

    /// Hands over what is kept. Where there is no room for all of it, the rest leaves as soon as there is,
    /// also when nobody waits for that any longer.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) fn release(&self) -> Publishing<'_> {
        let mut queue = self.shared.lock();
        queue.hand_over_gathered();
        if queue.gathered.is_empty() {
            return Either::Left(ready(queue.check_open()));
        }
        let waiting = async {
            self.emptied().await;
            self.shared.lock().check_open()
        };
        Either::Right(waiting.boxed())
    }

    fn message(
        &self,
        subject: impl Into<Subject>,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<OutboundMessage> {
        transport::check_size(&self.shared.client, &headers, body.len())?;
        Ok(OutboundMessage {
            subject: subject.into(),
            reply,
            payload: body,
            headers: Some(headers),
        })
    }

    /// Waits until all that was gathered is handed over.
    pub(crate) async fn emptied(&self) {
        self.shared.empty(&mut self.shared.client.clone()).await;
    }

    async fn wait_for_room(&self, message: OutboundMessage) -> Result<()> {
        coop::consume_budget().await;
        self.emptied().await;
        let published = self.shared.client.publish_message(message).await;
        published.map_err(refused)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.work.notify_one();
        self.shared.kept.notify_one();
    }
}

impl Shared {
    fn may_gather(&self) -> bool {
        let may_gather = self.debt.is_repaid();
        self.debt.repay();
        may_gather
    }

    /// Leaves a message to the courier. It comes back when there is no place, or no courier.
    fn gather(&self, message: OutboundMessage) -> Option<OutboundMessage> {
        let mut queue = self.lock();
        let is_late = queue.called.is_some_and(|called| called.elapsed() > LATE);
        if is_late || queue.gathered.len() >= PLACES {
            return Some(message);
        }
        queue.gathered.push_back(message);
        if queue.called.is_none() {
            queue.called = Some(Instant::now());
            self.work.notify_one();
        }
        None
    }

    /// Hands over what is gathered; returns how much that was. `sink` waits for room where there is none.
    async fn empty(&self, sink: &mut Client) -> usize {
        let mut handed_over = 0;
        loop {
            {
                let mut queue = self.lock();
                handed_over += queue.hand_over_gathered();
                if queue.gathered.is_empty() {
                    return handed_over;
                }
            }
            let room = poll_fn(|context| Pin::new(&mut *sink).poll_ready(context)).await;
            let mut queue = self.lock();
            if let Some(message) = queue.gathered.pop_front() {
                let sent = room.and_then(|()| Pin::new(&mut *sink).start_send(message));
                handed_over += 1;
                queue.note(sent);
            }
        }
    }

    /// Nothing that holds the lock can panic halfway through a change.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Hands over a message behind what was gathered before. `Err` gives it back when there is no room.
    fn hand_over(&mut self, message: OutboundMessage) -> Result<Result<()>, Box<OutboundMessage>> {
        self.hand_over_gathered();
        if self.gathered.is_empty()
            && let Poll::Ready(room) = self.poll_room()
        {
            let sent = room.and_then(|()| Pin::new(&mut self.sink).start_send(message));
            return Ok(sent.map_err(refused));
        }
        Err(Box::new(message))
    }

    /// Hands over what was gathered, as far as there is room. Returns how much that was.
    fn hand_over_gathered(&mut self) -> usize {
        let before = self.gathered.len();
        while !self.gathered.is_empty() {
            // These are others', and there are not too many.
            let room = pin!(unconstrained(poll_fn(|_| self.poll_room())));
            let Poll::Ready(room) = room.poll(&mut Context::from_waker(Waker::noop())) else {
                break;
            };
            if let Some(message) = self.gathered.pop_front() {
                let sent = room.and_then(|()| Pin::new(&mut self.sink).start_send(message));
                self.note(sent);
            }
        }
        if self.gathered.is_empty() {
            self.called = None;
        }
        before - self.gathered.len()
    }

    /// Whether the connection has room for a message. It fails when it is closed.
    fn poll_room(&mut self) -> Poll<Result<(), PublishError>> {
        // It keeps its place in the queue of those who wait, and whoever comes next has it.
        Pin::new(&mut self.sink).poll_ready(&mut Context::from_waker(Waker::noop()))
    }

    /// Nobody waits to be told what became of a gathered message.
    fn note(&mut self, sent: Result<(), PublishError>) {
        if let Err(error) = sent {
            match error.kind() {
                PublishErrorKind::Send => {
                    tracing::debug!("the connection is closed");
                    self.is_closed = true;
                }
                _ => tracing::warn!(%error, "a message could not be sent"),
            }
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed {
            return Err(transport::closed("nothing can be sent any more"));
        }
        Ok(())
    }
}

/// Hands over what is gathered, until the publisher is dropped.
async fn deliver(shared: Arc<Shared>) {
    let mut sink = shared.client.clone();
    loop {
        shared.work.notified().await;
        let called = Instant::now();
        // Everybody who can go on does so first, and adds what it has to say.
        yield_now().await;
        let took = called.elapsed();
        let handed_over = u32::try_from(shared.empty(&mut sink).await).unwrap_or(u32::MAX);
        if took <= MOMENT.saturating_mul(handed_over).min(LONGEST) {
            shared.debt.succeed();
        } else {
            shared
                .debt
                .fail(took, took.saturating_mul(handed_over.max(1)));
        }
        if shared.is_over.load(Ordering::Relaxed) {
            break;
        }
    }
}

/// Hands over what is kept for longer than whoever keeps it has meant to: what comes next takes its time,
/// or is not made any more. Ends when the publisher is dropped.
async fn sweep(shared: Arc<Shared>) {
    let mut sink = shared.client.clone();
    while !shared.is_over.load(Ordering::Relaxed) {
        shared.kept.notified().await;
        tokio::time::sleep(SWEEP).await;
        shared.empty(&mut sink).await;
    }
}

fn refused(error: PublishError) -> Error {
    match error.kind() {
        PublishErrorKind::Send => transport::closed(error.to_string()),
        // The server that was found again takes less than the one before.
        _ => Error::raised(ErrorCode::PayloadTooLarge, error.to_string()),
    }
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

    /// An publisher, and a subscription to what goes through it.
    async fn publisher() -> (LocalServer, Client, Publisher, Subscriber) {
        let server = LocalServer::start().await.unwrap();
        let client = async_nats::connect(server.url()).await.unwrap();
        let subscriber = client.subscribe("to").await.unwrap();
        let publisher = Publisher::new(&client);
        (server, client, publisher, subscriber)
    }

    impl Publisher {
        fn say(&self, others: usize, what: u32) -> Publishing<'_> {
            let body = Bytes::from(what.to_string());
            self.publish_among(others, "to", None, HeaderMap::new(), body)
        }

        /// How many messages wait here.
        fn waiting(&self) -> usize {
            self.shared.lock().gathered.len()
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
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        for message in 0..10_000 {
            // Now and then gathered, for a while or once.
            let others = if message % 1000 < 300 || message % 7 == 0 {
                MANY
            } else {
                0
            };
            publisher.say(others, message).await.unwrap();
        }
        arrives(&mut subscriber, 0..10_000).await;
    }

    #[tokio::test]
    async fn what_many_say_leaves_together() {
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        publisher.say(0, 0).await.unwrap();
        assert_eq!(publisher.waiting(), 0, "it has no company");
        for message in 1..10 {
            publisher.say(MANY, message).await.unwrap();
        }
        assert_eq!(publisher.waiting(), 9);
        publisher.say(0, 10).await.unwrap();
        assert_eq!(publisher.waiting(), 0, "the others go before it");
        publisher.say(MANY, 11).await.unwrap();
        assert_eq!(publisher.waiting(), 1);
        publisher.emptied().await;
        assert_eq!(publisher.waiting(), 0);
        publisher.say(MANY, 12).await.unwrap();
        arrives(&mut subscriber, 0..13).await;
    }

    #[tokio::test]
    async fn what_is_kept_goes_before_what_is_published_later() {
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        let keep = |message: u32| {
            let body = Bytes::from(message.to_string());
            publisher.keep("to".into(), None, HeaderMap::new(), body)
        };
        keep(0).unwrap();
        keep(1).unwrap();
        assert_eq!(publisher.waiting(), 2);
        publisher.say(0, 2).await.unwrap();
        assert_eq!(publisher.waiting(), 0);
        keep(3).unwrap();
        publisher.release().await.unwrap();
        assert_eq!(publisher.waiting(), 0);
        // More than there is room for, and nobody waits until they leave.
        for message in 4..10_000 {
            keep(message).unwrap();
        }
        assert!(publisher.release().now_or_never().is_none());
        arrives(&mut subscriber, 0..10_000).await;
        // Nobody releases this one at all.
        keep(10_000).unwrap();
        arrives(&mut subscriber, 10_000..10_001).await;
    }

    #[tokio::test]
    async fn who_releases_is_told_that_the_connection_is_closed() {
        let (_server, client, publisher, _subscriber) = publisher().await;
        client.drain().await.unwrap();
        let closed = async {
            loop {
                let (none, body) = (HeaderMap::new(), Bytes::new());
                publisher.keep("to".into(), None, none, body).unwrap();
                if let Err(error) = publisher.release().await {
                    return error;
                }
                yield_now().await;
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(20), closed).await;
        assert_eq!(error.unwrap().code(), &ErrorCode::ConnectionFailed);
    }

    #[tokio::test]
    async fn no_more_are_gathered_than_there_are_places() {
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        let messages = 0..PLACES as u32 + 10;
        for message in messages.clone() {
            publisher.say(MANY, message).await.unwrap();
            assert!(publisher.waiting() <= PLACES);
        }
        arrives(&mut subscriber, messages).await;
    }

    #[tokio::test]
    async fn who_finds_no_room_waits() {
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        // The client's task cannot run before, so that there is less and less room.
        let messages = unconstrained(async {
            let mut messages = 0;
            loop {
                let others = if messages % 2 == 0 { 0 } else { MANY };
                let said = publisher.say(others, messages);
                messages += 1;
                if let Either::Right(waits) = said {
                    waits.await.unwrap();
                    return messages;
                }
            }
        });
        let messages = messages.await;
        assert!(messages > 1000);
        arrives(&mut subscriber, 0..messages).await;
    }

    #[tokio::test]
    async fn nobody_waits_long_for_those_who_compute() {
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        publisher.say(MANY, 0).await.unwrap();
        // The courier was called before.
        let computes = tokio::spawn(async { std::thread::sleep(LONGEST * 10) });
        computes.await.unwrap();
        let comes = async {
            while publisher.shared.debt.is_repaid() {
                yield_now().await;
            }
        };
        let comes = tokio::time::timeout(Duration::from_secs(20), comes).await;
        comes.unwrap();
        let mut messages = 1;
        while !publisher.shared.debt.is_repaid() {
            publisher.say(MANY, messages).await.unwrap();
            assert_eq!(publisher.waiting(), 0, "it goes at once");
            messages += 1;
        }
        assert!(messages > 200, "{messages} of 50 µs each repaid 10 ms");
        publisher.say(MANY, messages).await.unwrap();
        assert_eq!(publisher.waiting(), 1);
        arrives(&mut subscriber, 0..messages + 1).await;
    }

    #[tokio::test]
    async fn nobody_waits_for_a_late_courier() {
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        publisher.say(MANY, 0).await.unwrap();
        std::thread::sleep(LATE * 2);
        publisher.say(MANY, 1).await.unwrap();
        assert_eq!(publisher.waiting(), 0);
        arrives(&mut subscriber, 0..2).await;
    }

    #[tokio::test]
    async fn what_waits_is_sent_when_the_outbox_is_dropped() {
        let (_server, _client, publisher, mut subscriber) = publisher().await;
        for message in 0..10 {
            publisher.say(MANY, message).await.unwrap();
        }
        drop(publisher);
        arrives(&mut subscriber, 0..10).await;
    }

    #[tokio::test]
    async fn a_closed_connection_is_told() {
        let (_server, client, publisher, mut subscriber) = publisher().await;
        client.drain().await.unwrap();
        while subscriber.next().await.is_some() {}
        let told = tokio::time::timeout(Duration::from_secs(20), publisher.say(0, 0));
        let error = told.await.unwrap().unwrap_err();
        assert_eq!(error.code(), &ErrorCode::ConnectionFailed);
        // Nobody is told of what is gathered, but it is not kept.
        publisher.say(MANY, 0).await.unwrap();
        publisher.emptied().await;
        assert_eq!(publisher.waiting(), 0);
    }
}
