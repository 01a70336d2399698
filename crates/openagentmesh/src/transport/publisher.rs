//! Publishing messages through the NATS client.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::message::OutboundMessage;
use async_nats::{Client, HeaderMap, Subject};
use bytes::Bytes;
use futures::future::{BoxFuture, Either, Ready, ready};
use futures::{FutureExt, Sink};
use openagentmesh_protocol::ErrorCode;
use tokio::sync::Notify;
use tokio::task::{coop, unconstrained, yield_now};

use super::client_slot::{ClientSlot, is_living};
use super::headers::{check_limit, closed, message_size};
use super::monitor::ConnectionMonitor;
use super::send_gate::{SendGate, is_connected};
use crate::error::{Error, Result};
use crate::util::sync::Mutex;

/// The maximum number of messages that wait for the flush task. Further ones are handed over directly.
const MAX_QUEUED: usize = 1024;
/// The number of other requests that must be in flight for a message to be coalesced with theirs.
const MIN_CONCURRENT: usize = 7;

/// Hands messages over to the NATS client: at once if the client is connected and has room, else after a wait.
///
/// A message whose sender gives up while the connection is lost is never sent. One gap remains: the client sends a
/// message after it has reconnected that was handed over in the moment before it noticed the loss.
///
/// The client's connection task writes to its socket as soon as it is woken, and the first message wakes
/// it. If many requests are in flight, their messages would each be written to the socket on their own, and
/// read by the server on their own. [`publish_coalesced`](Self::publish_coalesced) avoids that: it puts the
/// message into a queue. A flush task goes to the end of the run queue once, so that tasks before it add their
/// messages, and hands the whole queue over.
///
/// A direct [`publish`](Self::publish) hands over the queue first. So the messages of one task arrive in the
/// order in which it published them.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    slot: ClientSlot,
    gate: SendGate,
    queue: Mutex<Queue>,
    /// Wakes the flush task.
    flush: Notify,
}

struct Queue {
    /// A clone of the client, used as a sink: without a future, it takes a message at once if it has room.
    sink: Client,
    /// The epoch of `sink` in the slot.
    epoch: u64,
    coalesced: VecDeque<OutboundMessage>,
    /// Set when the publisher is dropped. It ends the flush task.
    is_dropped: bool,
}

thread_local! {
    /// Whether a handler is polled whose chunks are held.
    static HOLDS_CHUNKS: Cell<bool> = const { Cell::new(false) };
}

/// Runs `poll`, which polls a handler, while chunks of this handler are held. What the handler publishes in the meantime
/// is published by a later poll, after its chunks.
pub(crate) fn while_chunks_are_held<T>(poll: impl FnOnce() -> T) -> T {
    /// Restores the value also after a panic of the handler.
    struct Restore(bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            HOLDS_CHUNKS.set(self.0);
        }
    }

    let _restore = Restore(HOLDS_CHUNKS.replace(true));
    poll()
}

/// The rest of a `publish`: nothing, or a boxed wait for room.
pub(crate) type Publishing<'p> = Either<Ready<Result<()>>, BoxFuture<'p, Result<()>>>;

impl Publisher {
    /// Must be called in a tokio runtime: it spawns the flush task.
    pub(super) fn new(slot: &ClientSlot, monitor: &ConnectionMonitor) -> Self {
        let (sink, epoch) = slot.client_of_epoch();
        let shared = Arc::new(Shared {
            slot: slot.clone(),
            gate: SendGate::new(slot, monitor),
            queue: Mutex::new(Queue {
                sink,
                epoch,
                coalesced: VecDeque::new(),
                is_dropped: false,
            }),
            flush: Notify::new(),
        });
        tokio::spawn(flush_task(Arc::clone(&shared)));
        Self { shared }
    }

    /// Publishes a message, with a reply subject if one is given. Waits while the client has no room, while the
    /// connection is lost, and while a dead client is replaced. If the future is dropped during the wait, the message
    /// is not sent.
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
        self.publish_coalesced(0, subject, reply, headers, body)
    }

    /// As [`publish`](Self::publish), for a message of a request while `others` more requests are in flight.
    /// If those are enough, the message is coalesced with theirs. A closed connection is then only logged:
    /// the caller learns of it from the inbox, which fails all pending replies. If the connection is lost in the same
    /// moment, a coalesced request is dropped, as those on the lost connection are.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish).
    pub(crate) fn publish_coalesced(
        &self,
        others: usize,
        subject: impl Into<Subject>,
        reply: Option<Subject>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Publishing<'_> {
        let size = message_size(&headers, body.len());
        let message = OutboundMessage {
            subject: subject.into(),
            reply,
            payload: body,
            headers: Some(headers),
        };
        if HOLDS_CHUNKS.get() {
            return Either::Right(self.publish_after_chunks(others, message, size).boxed());
        }
        self.hand_over(others, message, size)
    }

    /// Publishes a message of a handler while chunks that it produced before are held. The handler is pending at first,
    /// and so its chunks leave.
    async fn publish_after_chunks(
        &self,
        others: usize,
        message: OutboundMessage,
        size: usize,
    ) -> Result<()> {
        yield_now().await;
        self.hand_over(others, message, size).await
    }

    fn hand_over(&self, others: usize, message: OutboundMessage, size: usize) -> Publishing<'_> {
        let shared = &*self.shared;
        // A task that publishes in a loop must yield now and then.
        if !coop::has_budget_remaining() {
            return Either::Right(shared.wait_and_publish(message, size).boxed());
        }
        let mut queue = shared.queue.lock();
        if let Err(too_large) = check_limit(size, queue.sink.max_payload()) {
            return Either::Left(ready(Err(too_large)));
        }
        // A coalesced message of a dead client is dropped.
        let is_current = queue.epoch == shared.slot.epoch() && is_connected(&queue.sink);
        if is_current && others >= MIN_CONCURRENT && queue.coalesced.len() < MAX_QUEUED {
            queue.coalesced.push_back(message);
            if queue.coalesced.len() == 1 {
                shared.flush.notify_one();
            }
            return Either::Left(ready(Ok(())));
        }
        let unpublished = match is_current {
            true => queue.try_publish(message),
            false => Err(Box::new(message)),
        };
        match unpublished {
            Ok(published) => Either::Left(ready(published)),
            Err(message) => Either::Right(shared.wait_and_publish(*message, size).boxed()),
        }
    }

    /// Checks a message against the server's size limit.
    ///
    /// # Errors
    ///
    /// `payload_too_large`.
    pub(crate) fn check_size(&self, headers: &HeaderMap, body: usize) -> Result<()> {
        check_limit(message_size(headers, body), self.shared.slot.max_payload())
    }

    /// Whether a message can be handed over without a wait for the connection.
    pub(super) fn is_open(&self) -> bool {
        self.shared.gate.is_open()
    }

    /// Waits until the client has taken every coalesced message, and the chunks of a handler that awaits this, or the
    /// connection is closed.
    pub(crate) async fn flush(&self) {
        if HOLDS_CHUNKS.get() {
            yield_now().await;
        }
        self.shared.flush_queue().await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.queue.lock().is_dropped = true;
        self.shared.flush.notify_one();
    }
}

impl Shared {
    async fn wait_and_publish(&self, message: OutboundMessage, size: usize) -> Result<()> {
        coop::consume_budget().await;
        loop {
            self.gate.opened().await?;
            self.renew();
            self.flush_queue().await;
            let (mut sink, epoch) = {
                let queue = self.queue.lock();
                (queue.sink.clone(), queue.epoch)
            };
            check_limit(size, sink.max_payload())?;
            match poll_fn(|context| Pin::new(&mut sink).poll_ready(context)).await {
                Ok(()) if is_connected(&sink) => {
                    return Pin::new(&mut sink).start_send(message).map_err(to_error);
                }
                // Lost while it had no room.
                Ok(()) => {}
                Err(_) => self.slot.next_client(epoch).await?,
            }
        }
    }

    /// Takes the slot's current client as sink, if it is alive. Coalesced messages are dropped: they were published before the client
    /// before died, and their callers know of its death.
    fn renew(&self) {
        let (sink, epoch) = self.slot.client_of_epoch();
        let mut queue = self.queue.lock();
        // A queue of a dead client's epoch would coalesce messages.
        if queue.epoch < epoch && is_living(epoch) {
            (queue.sink, queue.epoch) = (sink, epoch);
            if !queue.coalesced.is_empty() {
                tracing::debug!(
                    "{} messages dropped with their client",
                    queue.coalesced.len()
                );
                queue.coalesced.clear();
            }
        }
    }

    /// Hands over all coalesced messages. Waits for room with a sink of its own, because a sink wakes only
    /// one waiting task.
    async fn flush_queue(&self) {
        loop {
            let mut sink = {
                let mut queue = self.queue.lock();
                if queue.try_flush() {
                    return;
                }
                queue.sink.clone()
            };
            if let Err(error) = self.gate.opened().await {
                tracing::debug!(%error, "coalesced messages dropped");
                self.queue.lock().coalesced.clear();
                return;
            }
            self.renew();
            let room = poll_fn(|context| Pin::new(&mut sink).poll_ready(context)).await;
            let mut queue = self.queue.lock();
            if is_connected(&sink)
                && let Some(message) = queue.coalesced.pop_front()
            {
                log_failure(room.and_then(|()| Pin::new(&mut sink).start_send(message)));
            }
        }
    }
}

impl Queue {
    /// Hands over the coalesced messages and then `message`. `Err` gives it back if there is no room, the connection
    /// is lost, or the client is dead.
    fn try_publish(
        &mut self,
        message: OutboundMessage,
    ) -> Result<Result<()>, Box<OutboundMessage>> {
        if self.try_flush()
            && let Poll::Ready(Ok(())) = self.poll_room()
        {
            let published = Pin::new(&mut self.sink).start_send(message);
            return Ok(published.map_err(to_error));
        }
        Err(Box::new(message))
    }

    /// Hands over the coalesced messages as far as there is room. Returns whether none is left. While the connection is
    /// lost, requests are dropped and other messages wait.
    fn try_flush(&mut self) -> bool {
        if self.coalesced.is_empty() {
            return true;
        }
        if !is_connected(&self.sink) {
            // The sender of a request may give up, which is not known here.
            self.coalesced.retain(|message| message.reply.is_none());
            return self.coalesced.is_empty();
        }
        while !self.coalesced.is_empty() {
            // Other tasks' messages must not use up the budget of this task. There are at most MAX_QUEUED.
            let room = pin!(unconstrained(poll_fn(|_| self.poll_room())));
            let Poll::Ready(room) = room.poll(&mut Context::from_waker(Waker::noop())) else {
                return false;
            };
            if let Some(message) = self.coalesced.pop_front() {
                log_failure(room.and_then(|()| Pin::new(&mut self.sink).start_send(message)));
            }
        }
        true
    }

    /// Whether the client has room for a message; an error when the connection is closed. If not, the sink
    /// keeps its place in the client's queue for the next call.
    fn poll_room(&mut self) -> Poll<Result<(), PublishError>> {
        Pin::new(&mut self.sink).poll_ready(&mut Context::from_waker(Waker::noop()))
    }
}

/// Hands over coalesced messages until the publisher is dropped.
async fn flush_task(shared: Arc<Shared>) {
    loop {
        shared.flush.notified().await;
        requeue().await;
        shared.flush_queue().await;
        if shared.queue.lock().is_dropped {
            break;
        }
    }
}

/// Moves this task to the end of its worker's run queue, from which idle workers take tasks. A task that calls
/// `yield_now` instead runs after the worker's other tasks, even if one of them blocks the worker.
async fn requeue() {
    let mut is_requeued = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_requeued, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// No task waits for the result of a coalesced message.
fn log_failure(published: Result<(), PublishError>) {
    if let Err(error) = published {
        match error.kind() {
            PublishErrorKind::Send => tracing::debug!("message dropped: the connection is closed"),
            _ => tracing::warn!(%error, "message dropped"),
        }
    }
}

fn to_error(error: PublishError) -> Error {
    match error.kind() {
        PublishErrorKind::Send => closed("its NATS client has ended"),
        // After a reconnect, the limit of the new server may be lower than that of the old one.
        _ => Error::raised(ErrorCode::PayloadTooLarge, error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
