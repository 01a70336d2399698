//! The chunks of all streams of this process.

use std::collections::VecDeque;
use std::sync::Arc;

use async_nats::{Message, Subject};
use openagentmesh_protocol::{CallerSignal, RequestId, UserToken, subject};
use tokio_util::sync::CancellationToken;

use super::client_slot::ClientSlot;
use super::denials::Denials;
use super::inbox::answer_probe;
use super::message_queue::{Limit, MessageQueue, Queued};
use super::multiplexer::{Entry, Multiplexer, Numbered, NumberedMessages, Table};
use super::publisher::Publisher;
use crate::error::Result;

/// The streams that this process consumes, all on one subscription.
///
/// A host learns that a consumer has dropped its stream by a message: the server reports a missing subscriber only when
/// the whole process has gone.
pub(crate) struct Streams {
    /// The ids of the requests are this one and a token.
    prefix: RequestId,
    slot: ClientSlot,
    routes: Multiplexer<Route>,
    publisher: Arc<Publisher>,
    denials: Arc<Denials>,
}

/// The way of one stream's chunks to its consumer. Ends the queue when it is dropped.
struct Route {
    queue: Arc<MessageQueue>,
    /// The epoch of the client at the start of the request.
    epoch: u64,
}

impl Drop for Route {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl Streams {
    /// The ids of the requests begin with the token of `user`. `ended` ends all streams.
    pub(crate) fn new(
        slot: &ClientSlot,
        publisher: &Arc<Publisher>,
        denials: &Arc<Denials>,
        user: Option<&UserToken>,
        ended: CancellationToken,
    ) -> Self {
        let prefix = RequestId::random_of(user);
        Self {
            routes: Multiplexer::new(slot, subject::stream(&prefix), ended),
            slot: slot.clone(),
            publisher: Arc::clone(publisher),
            denials: Arc::clone(denials),
            prefix,
        }
    }

    /// The id of a new request, and its number.
    pub(crate) fn take_id(&self) -> (RequestId, u64) {
        let number = self.routes.take_number();
        let token = self.routes.table().token(number);
        (RequestId::below(&self.prefix, &token), number)
    }

    /// The subject of the subscription.
    pub(crate) fn pattern(&self) -> Subject {
        self.routes.table().pattern().into()
    }

    /// Opens the stream of request `number`, whose host has credit for so many chunks. Subscribes first if this is the first
    /// one.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed, `connection_denied` when the server has denied the subscription.
    pub(crate) async fn open(&self, number: u64, credit: u32) -> Result<IncomingChunks> {
        if !self.routes.is_started() {
            let reader = Reader {
                table: Arc::clone(self.routes.table()),
                publisher: Arc::clone(&self.publisher),
                refused: VecDeque::new(),
            };
            let read = move |messages| reader.clone().read(messages);
            self.routes.start(read).await?;
        }
        let queue = Arc::new(MessageQueue::with_credit(credit));
        let route = Route {
            queue: Arc::clone(&queue),
            epoch: self.slot.epoch(),
        };
        let entry = self.routes.add_numbered(number, route)?;
        // The pending reply of the request, which is there before, fails with a later denial.
        if let Some(denial) = self.denials.of_shared(|| self.pattern().to_string()) {
            return Err(denial.to_error());
        }
        Ok(IncomingChunks {
            queue,
            credit: credit.into(),
            exceeded: None,
            _entry: entry,
        })
    }
}

/// The task that reads the chunks.
#[derive(Clone)]
struct Reader {
    table: Arc<Table<Route>>,
    publisher: Arc<Publisher>,
    /// The last streams without a consumer whose hosts were asked to cancel them.
    refused: VecDeque<u64>,
}

impl Reader {
    /// The maximum number of streams in `refused`.
    const MAX_REFUSED: usize = 64;

    /// Passes each chunk to its stream. Ends with the connection.
    async fn read(mut self, mut messages: NumberedMessages) {
        while let Some(event) = messages.next().await {
            match event {
                Numbered::Message(number, message) => {
                    let queue = self.table.with(number, |route| Arc::clone(&route.queue));
                    match queue {
                        Some(queue) => queue.push(message),
                        None => self.refuse(number, message).await,
                    }
                }
                // What the dead client had received of these streams may be lost.
                Numbered::Interrupted(epoch) => {
                    drop(self.table.remove_all(|_, route| route.epoch <= epoch));
                }
            }
        }
    }

    /// Asks the host of a stream that was dropped to cancel it, once.
    async fn refuse(&mut self, number: u64, message: Message) {
        if message.reply.is_none() || self.refused.contains(&number) || !self.publisher.is_open() {
            return;
        }
        if self.refused.len() >= Self::MAX_REFUSED {
            self.refused.pop_front();
        }
        self.refused.push_back(number);
        answer_probe(&self.publisher, message.reply, CallerSignal::Cancel).await;
    }
}

/// The chunks of one stream as they arrive. Dropping them ends the route.
pub(crate) struct IncomingChunks {
    queue: Arc<MessageQueue>,
    /// All credit that the host was given.
    credit: u64,
    /// The limit that ended the messages.
    exceeded: Option<Limit>,
    _entry: Entry<Route>,
}

impl IncomingChunks {
    /// The next message, or the number of messages that were lost in its place; `None` after the last one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, u64>> {
        match self.queue.next().await? {
            Queued::Message(message) => Some(Ok(message)),
            Queued::Lost(lost) => Some(Err(lost)),
            Queued::Exceeded(limit) => {
                self.exceeded = Some(limit);
                None
            }
        }
    }

    /// Allows `credit` more messages. To be called before the credit is sent. It counts only once it is
    /// [granted](Self::grant).
    pub(crate) fn allow(&self, credit: u32) {
        self.queue.raise_credit(self.credit + u64::from(credit));
    }

    /// The number of chunks that the host may have sent since the beginning, as it has been allowed.
    pub(crate) fn allowed(&self) -> u64 {
        self.queue.credit().unwrap_or(u64::MAX)
    }

    /// The credit was sent.
    pub(crate) fn grant(&mut self, credit: u32) {
        self.credit += u64::from(credit);
    }

    /// The limit that ended the messages: the host sent one beyond it.
    pub(crate) fn exceeded(&self) -> Option<Limit> {
        self.exceeded
    }
}
