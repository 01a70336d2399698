//! A bounded buffer for what comes faster than it is taken.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures::StreamExt;
use futures::task::AtomicWaker;
use openagentmesh_protocol::ChunkHeaders;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, coop};

use crate::transport::Received;

/// How many messages are taken together.
const BATCH: usize = 64;
/// How often a reader that is busy is relieved of what has come meanwhile: long before the client, which
/// keeps 65,536 messages of any size, drops some unseen.
const RELIEF: Duration = Duration::from_millis(10);

/// Messages that wait to be taken. A reader that waits takes them from the subscription itself. One that
/// is slow, or does not come at all, is relieved of them by a task, so that it neither makes the client
/// drop messages unseen nor keeps more than this.
///
/// What does not fit is counted, and the count stands where the messages would have; once something
/// was lost, half of the room must be free before more is kept. End markers are kept all the same:
/// without one, nobody would know that nothing more comes.
pub(super) struct Buffer {
    shared: Arc<Shared>,
    /// What was taken together, and was not asked for yet.
    taken: VecDeque<Buffered>,
    relief: AbortHandle,
}

/// What stands in the buffer.
pub(super) enum Buffered {
    Message(Message),
    /// So many messages did not fit.
    Lost(u64),
}

struct Shared {
    waiting: Mutex<Waiting>,
    arrivals: Arc<Arrivals>,
    /// Of those who wait for arrivals.
    waker: Waker,
}

/// Who is told that something has come.
#[derive(Default)]
struct Arrivals {
    reader: AtomicWaker,
    relief: Notify,
}

impl Wake for Arrivals {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.relief.notify_one();
    }
}

impl Buffer {
    /// How many messages wait at most.
    pub(super) const CHUNKS: usize = 16 * 1024;

    /// Takes everything from `subscriber` until the buffer is dropped.
    pub(super) fn start(subscriber: Subscriber) -> Self {
        let arrivals = Arc::<Arrivals>::default();
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting::new(subscriber)),
            waker: Arc::clone(&arrivals).into(),
            arrivals,
        });
        Self {
            relief: tokio::spawn(relieve(Arc::clone(&shared))).abort_handle(),
            shared,
            taken: VecDeque::new(),
        }
    }

    /// What came next; `None` once the subscription has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Buffered> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same, polled.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Buffered>> {
        if let Some(next) = self.taken.pop_front() {
            return Poll::Ready(Some(next));
        }
        // A reader that always finds something lets others go on once in a while.
        let turn = ready!(coop::poll_proceed(context));
        // From here on, whatever comes is told.
        self.shared.arrivals.reader.register(context.waker());
        let ended = {
            let mut waiting = self.shared.lock();
            waiting.take_back();
            if waiting.messages.is_empty() {
                let mut arrivals = Context::from_waker(&self.shared.waker);
                waiting.receive(BATCH, &mut arrivals);
            }
            waiting.lend(&mut self.taken);
            waiting.ended()
        };
        match self.taken.pop_front() {
            None if !ended => Poll::Pending,
            next => {
                turn.made_progress();
                Poll::Ready(next)
            }
        }
    }

    /// Puts back the message that was taken last: it comes next.
    pub(super) fn put_back(&mut self, message: Message) {
        self.taken.push_front(Buffered::Message(message));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.relief.abort();
        self.shared.lock().subscriber = None;
    }
}

/// Keeps what a busy reader has not taken, until the subscription ends or the buffer is dropped.
async fn relieve(shared: Arc<Shared>) {
    loop {
        let receiving = poll_fn(|_| {
            let mut waiting = shared.lock();
            waiting.receive(usize::MAX, &mut Context::from_waker(&shared.waker));
            Poll::Ready(waiting.subscriber.is_none())
        });
        // It is not for the runtime to say how much the reader is relieved of.
        if coop::unconstrained(receiving).await {
            break;
        }
        shared.arrivals.relief.notified().await;
        tokio::time::sleep(RELIEF).await;
    }
}

impl Shared {
    /// Nothing that holds the lock can panic halfway through a change.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Waiting {
    /// `None` once it has ended.
    subscriber: Option<Subscriber>,
    messages: VecDeque<Buffered>,
    /// How many messages, and bytes, the reader has taken together; it may still be at the first.
    lent: (usize, usize),
    /// How many bytes all of these have.
    bytes: usize,
    /// Whether something was lost, and there is not yet room enough again.
    overflowing: bool,
}

impl Waiting {
    /// How many bytes of messages wait at most, give or take one message.
    const BYTES: usize = 64 * 1024 * 1024;
    /// How many end markers are kept beyond the limit.
    const END_MARKERS: usize = 1024;

    fn new(subscriber: Subscriber) -> Self {
        Self {
            subscriber: Some(subscriber),
            messages: VecDeque::new(),
            lent: (0, 0),
            bytes: 0,
            overflowing: false,
        }
    }

    /// Keeps what has arrived, up to so many messages. Whoever `arrivals` wakes is told of more.
    fn receive(&mut self, limit: usize, arrivals: &mut Context<'_>) {
        for _ in 0..limit {
            let Some(subscriber) = &mut self.subscriber else {
                break;
            };
            match subscriber.poll_next_unpin(arrivals) {
                Poll::Ready(Some(message)) => self.put(message),
                Poll::Ready(None) => self.subscriber = None,
                Poll::Pending => break,
            }
        }
    }

    /// Whether nothing more comes.
    fn ended(&self) -> bool {
        self.subscriber.is_none() && self.messages.is_empty()
    }

    fn put(&mut self, message: Message) {
        let limit = if self.overflowing { 2 } else { 1 };
        self.overflowing =
            self.len() >= Buffer::CHUNKS / limit || self.bytes >= Self::BYTES / limit;
        if !self.overflowing || self.keeps(&message) {
            self.bytes += message.length;
            self.messages.push_back(Buffered::Message(message));
        } else if let Some(Buffered::Lost(lost)) = self.messages.back_mut() {
            *lost += 1;
        } else {
            self.messages.push_back(Buffered::Lost(1));
        }
    }

    /// Whether `message` is kept although there is no room.
    fn keeps(&self, message: &Message) -> bool {
        self.len() < Buffer::CHUNKS + Self::END_MARKERS
            && message.payload.is_empty()
            && ChunkHeaders::read(&Received(message.headers.as_ref()))
                .is_ok_and(|headers| headers.end)
    }

    fn len(&self) -> usize {
        self.messages.len() + self.lent.0
    }

    /// The reader has dealt with all that it took before.
    fn take_back(&mut self) {
        self.bytes -= self.lent.1;
        self.lent = (0, 0);
    }

    /// Moves what came first to `taken`, which is empty.
    fn lend(&mut self, taken: &mut VecDeque<Buffered>) {
        if self.messages.len() <= BATCH {
            std::mem::swap(&mut self.messages, taken);
        } else {
            taken.extend(self.messages.drain(..BATCH));
        }
        let lengths = taken.iter().map(|lent| match lent {
            Buffered::Message(message) => message.length,
            Buffered::Lost(_) => 0,
        });
        self.lent = (taken.len(), lengths.sum());
    }
}
