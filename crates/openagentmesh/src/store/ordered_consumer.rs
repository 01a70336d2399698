//! The messages of a bucket in their order, across lost connections.
//!
//! A user who may have no consumers reads them one by one (`cursor.rs`). For all others, this is a plain push consumer of the client with its subscription, and not one of the client's two
//! ordered consumers (`OrderedConfig`), because these faults of async-nats 0.51 cannot be worked
//! around:
//!
//! * They replace a lost consumer on their own, without a report, and start after the last sequence. In a
//!   bucket that was created again or restored from a backup this sequence lies in the future: they stay
//!   silent.
//! * Before the first message, they replace a lost consumer with `DeliverPolicy::All`: old values arrive as
//!   updates, and all of the history.
//! * The replacement has a name that is private, so that it cannot be deleted when it is dropped. The server
//!   keeps it for the 30 s that `OrderedConfig` fixes; 1,000 of them exhaust the limit of a bucket.
//! * Idle heartbeats are not passed on, so that a list whose last values are purged while it is read
//!   would wait for them forever.
//! * The pull variant does not arm its timer again after a missed heartbeat, and then misses that its
//!   consumer is gone.
//!
//! After a reconnection, the next messages are read one by one with requests, whose answers the client can always read:
//! the client may have lost its connection because it cannot read a message, and would receive that message again. One
//! such message therefore costs one reconnection. See `header_block.rs`.
//!
//! The client's plain `push::Messages` hides idle heartbeats, too, does not compare the sequence that they
//! carry, and panics in a task of its own when it answers a flow control message on a closed connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Info;
use bytes::Bytes;
use futures::future::try_join_all;
use openagentmesh_protocol::ErrorCode;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::access::Access;
use super::active_consumer::Arrival;
use super::bucket::Bucket;
use super::handle::Handle;
use super::header_block::Meaning;
use super::source::{Source, Start};
use super::stored_message::{Find, StoredMessage};
use crate::error::{Error, Result};
use crate::util::backoff::Backoff;

/// The bounds of the back-off between attempts to replace a lost consumer.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// After a reconnection, messages are read with requests for so long, unless the message is found before that explains
/// it. The server may have delivered that message after others which were lost.
const MAX_SEARCH: Duration = Duration::from_millis(500);

/// The number of delivered messages that are compared with those of a bucket after a loss.
const MAX_REMEMBERED: usize = 32;

/// An event of an [`OrderedConsumer`].
pub(crate) enum Delivery {
    Message(Box<StoredMessage>),
    /// All messages so far are delivered.
    Idle,
    /// The server does not permit the consumer. It is tried again by the next call.
    Denied(Error),
    /// The bucket was created again, or went back to an earlier state. Its current messages follow; the
    /// delivered ones may be missing in it.
    BucketRecreated,
}

/// Delivers the messages of the subjects that a filter matches, in their order, without gaps or
/// repetitions. A lost consumer is replaced by one that starts after the last delivered message.
///
/// The consumer is deleted from the server when the value is dropped.
pub(crate) struct OrderedConsumer<H: Handle> {
    bucket: Arc<Bucket<H>>,
    filter: String,
    start: Start,
    headers_only: bool,
    reconnections: watch::Receiver<u64>,
    /// The count of reconnections at the last attempt to activate the consumer.
    seen_reconnections: u64,
    /// The sequence of the first message that is due; `None` while that depends on `start`.
    next_sequence: Option<u64>,
    /// The last message that is known: the last delivered one, or the last of the bucket when the consumer was
    /// created.
    last_known: Option<Known>,
    /// The last delivered messages, each with its subject; at most [`MAX_REMEMBERED`].
    delivered: VecDeque<(String, Known)>,
    /// The creation time of the bucket that the messages came from.
    created: Option<OffsetDateTime>,
    /// Whether the bucket was recreated and that is not reported yet, because no consumer was created since.
    is_recreated: bool,
    active: Option<Source<H>>,
    /// Whether the next message may be one on which the client loses its connection: it is read with a request.
    reads_next: bool,
    /// The number of reconnections since the last consumer that no message explains.
    unexplained: u64,
    /// The end of the search for messages that explain reconnections.
    search_until: Instant,
    /// A message that was read with a request, and is due.
    read: Option<Box<StoredMessage>>,
    /// The number of matching messages that are due, as far as it is known.
    pending: u64,
    /// The back-off between attempts to replace a lost consumer; reset by a message.
    backoff: Backoff,
}

/// Identifies a message in its bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    sequence: u64,
    published: OffsetDateTime,
}

impl<H: Handle> OrderedConsumer<H> {
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `storage_error` when it refuses the consumer.
    pub(crate) async fn open(
        bucket: Arc<Bucket<H>>,
        filter: String,
        start: Start,
        headers_only: bool,
    ) -> Result<Self> {
        let mut consumer = Self {
            reconnections: bucket.connection().watch_reconnections(),
            seen_reconnections: bucket.connection().reconnections(),
            bucket,
            filter,
            start,
            headers_only,
            next_sequence: None,
            last_known: None,
            delivered: VecDeque::new(),
            created: None,
            is_recreated: false,
            active: None,
            reads_next: false,
            unexplained: 0,
            search_until: Instant::now(),
            read: None,
            pending: 0,
            backoff: Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY),
        };
        consumer.activate().await?;
        Ok(consumer)
    }

    /// The number of matching messages that follow: more than 0 until the last one that is known was returned.
    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether each message takes a request, because the user may have no consumers.
    pub(crate) fn reads_one_by_one(&self) -> bool {
        self.active.as_ref().is_some_and(Source::is_cursor)
    }

    /// The next event; `None` once the connection is closed, then and on every later call. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        let closed = self.bucket.connection().closed();
        closed.run_until_cancelled(self.delivery()).await
    }

    async fn delivery(&mut self) -> Delivery {
        loop {
            // A message of a recreated bucket follows the report of it.
            if !self.is_recreated
                && let Some(message) = self.read.take()
            {
                self.pending = self.pending.saturating_sub(1);
                return self.deliver(message);
            }
            if let Some(active) = &mut self.active {
                let arrival = tokio::select! {
                    biased;
                    arrival = active.next() => arrival,
                    // Messages in flight at that time are lost.
                    Ok(()) = self.reconnections.changed() => Arrival::Lost,
                    // Ends the subscription before the client renews it: the server would go on with the next message.
                    () = self.bucket.connection().wait_lost() => Arrival::Lost,
                };
                match arrival {
                    Arrival::Message(message, pending) => {
                        self.next_sequence = Some(message.sequence + 1);
                        self.pending = pending;
                        return self.deliver(message);
                    }
                    Arrival::Idle => {
                        self.pending = 0;
                        return Delivery::Idle;
                    }
                    Arrival::Lost => self.active = None,
                    Arrival::Denied(error) => return self.denied(error).await,
                }
            }
            match self.activate().await {
                Ok(true) => return Delivery::BucketRecreated,
                Ok(false) if self.pending == 0 => return Delivery::Idle,
                Ok(false) => {}
                Err(error) if error.code() == &ErrorCode::ConnectionDenied => {
                    return self.denied(error).await;
                }
                Err(error) => {
                    tracing::debug!(%error, bucket = self.bucket.name(), "a watch is interrupted");
                    tokio::time::sleep(self.backoff.next_delay()).await;
                }
            }
        }
    }

    fn deliver(&mut self, message: Box<StoredMessage>) -> Delivery {
        self.remember(&message);
        self.backoff.reset();
        Delivery::Message(message)
    }

    /// Reads the next message if the client may be unable to, or creates a consumer that starts after the last
    /// delivered message. Returns whether the bucket was recreated.
    async fn activate(&mut self) -> Result<bool> {
        loop {
            let count = *self.reconnections.borrow_and_update();
            if count != self.seen_reconnections {
                self.unexplained += count - self.seen_reconnections;
                self.seen_reconnections = count;
                self.reads_next = true;
                self.search_until = Instant::now() + MAX_SEARCH;
            }
            let mut reconnections = self.reconnections.clone();
            let mut losses = self.bucket.connection().monitor().losses();
            tokio::select! {
                biased;
                // The consumer may deliver a message before its creation is confirmed.
                Ok(()) = losses.changed() => {}
                Ok(()) = reconnections.changed() => {}
                // Boxed: it is large, and rare.
                activated = Box::pin(self.try_activate()) => return activated,
            }
        }
    }

    async fn try_activate(&mut self) -> Result<bool> {
        let info = |handle: Arc<H>| async move { handle.stream().get_info().await };
        let info = self.bucket.try_with("watch", Access::Open, info).await?;
        let is_recreated = self.created.is_some_and(|created| created != info.created)
            || self.has_gone_back(&info).await?;
        if is_recreated {
            self.is_recreated = true;
            self.next_sequence = None;
            self.last_known = None;
            self.read = None;
            self.delivered.clear();
            // All that is in it is new.
            if self.start == Start::New {
                self.start = Start::Last;
            }
        }
        if self.next_sequence.is_none() && self.start == Start::New {
            self.next_sequence = Some(info.state.last_sequence + 1);
        }
        if self.reads_next && self.read.is_none() {
            self.read_next(&info).await?;
        }
        if !self.reads_next {
            let created = Source::create(
                &self.bucket,
                &self.filter,
                self.headers_only,
                self.start,
                self.next_sequence,
                &info,
            );
            let (active, pending) = created.await?;
            self.active = Some(active);
            self.pending = pending + u64::from(self.read.is_some());
        }
        self.created = Some(info.created);
        let last = Known {
            sequence: info.state.last_sequence,
            published: info.state.last_timestamp,
        };
        if last.sequence > self.last_known.map_or(0, |known| known.sequence) {
            self.last_known = Some(last);
        }
        Ok(std::mem::take(&mut self.is_recreated))
    }

    /// Reads the next message with a request. Clears `reads_next` unless the message after it is to be read alike.
    async fn read_next(&mut self, info: &Info) -> Result<()> {
        let found = match self.find_next(info).await {
            Ok(found) => found,
            Err(error) if error.code() == &ErrorCode::ConnectionDenied => {
                tracing::debug!(%error, "the next message of a watch is not read before its delivery");
                None
            }
            Err(error) => return Err(error),
        };
        let Some(mut message) = found else {
            self.reads_next = false;
            self.unexplained = 0;
            return Ok(());
        };
        if let Meaning::Malformed(reason) = message.meaning {
            let (bucket, sequence) = (self.bucket.name(), message.sequence);
            let subject = message.subject.escape_debug();
            tracing::warn!(bucket, %subject, sequence, reason, "a malformed message is skipped");
        }
        if self.headers_only {
            message.payload = Bytes::new();
        }
        self.next_sequence = Some(message.sequence + 1);
        if message.is_suspect {
            self.bucket.unreadable.add(message.sequence);
        }
        self.unexplained = self
            .unexplained
            .saturating_sub(u64::from(message.is_suspect));
        self.reads_next =
            message.is_suspect || (self.unexplained > 0 && Instant::now() < self.search_until);
        if !self.reads_next {
            self.unexplained = 0;
        }
        self.read = Some(Box::new(message));
        // A further one may follow.
        self.pending = 2;
        Ok(())
    }

    /// The message that a consumer would deliver next.
    async fn find_next(&self, info: &Info) -> Result<Option<StoredMessage>> {
        let filter = self.filter.as_str();
        let mut from = self.next_sequence.unwrap_or(1);
        let is_any = self.next_sequence.is_some() || info.config.max_messages_per_subject == 1;
        while from <= info.state.last_sequence {
            let find = Find::Next { filter, from };
            let Some(next) = self.bucket.message("watch", find).await? else {
                return Ok(None);
            };
            if is_any || self.is_last(&next).await? {
                return Ok(Some(next));
            }
            from = next.sequence + 1;
        }
        Ok(None)
    }

    /// Whether no later message has the subject of `message`.
    async fn is_last(&self, message: &StoredMessage) -> Result<bool> {
        let last = Find::Last(&message.subject);
        let last = self.bucket.message("watch", last).await?;
        Ok(last.is_none_or(|last| last.sequence <= message.sequence))
    }

    /// Gives the consumer up and waits for the back-off, because the next call replaces the consumer.
    async fn denied(&mut self, error: Error) -> Delivery {
        self.active = None;
        tokio::time::sleep(self.backoff.next_delay()).await;
        Delivery::Denied(error)
    }

    fn remember(&mut self, message: &StoredMessage) {
        let known = message.known();
        if self
            .last_known
            .is_none_or(|last| last.sequence <= known.sequence)
        {
            self.last_known = Some(known);
        }
        if self.delivered.len() >= MAX_REMEMBERED {
            self.delivered.pop_front();
        }
        self.delivered.push_back((message.subject.clone(), known));
    }

    /// Whether the bucket was restored to an earlier state than the last known message: its sequence is not reached
    /// yet, or belongs to another message. If that sequence was overwritten since, the last message of a delivered
    /// subject has a lower sequence than the delivered one.
    async fn has_gone_back(&self, info: &Info) -> Result<bool> {
        let state = &info.state;
        let Some(last) = self.last_known else {
            let next_sequence = self.next_sequence.unwrap_or(0);
            return Ok(state.last_sequence + 1 < next_sequence);
        };
        if state.last_sequence < last.sequence {
            return Ok(true);
        }
        // Spares the requests below in the common case.
        if state.last_sequence == last.sequence && state.last_timestamp == last.published {
            return Ok(false);
        }
        let find = Find::Sequence(last.sequence);
        if let Some(found) = self.bucket.message("watch", find).await? {
            return Ok(found.published != last.published);
        }
        let newest: HashMap<&str, Known> = self
            .delivered
            .iter()
            .map(|(subject, known)| (subject.as_str(), *known))
            .collect();
        let gone_back = newest
            .into_iter()
            .map(|(subject, known)| self.is_before(subject, known));
        let gone_back = try_join_all(gone_back).await?;
        Ok(gone_back.contains(&true))
    }

    /// Whether the last message of `subject` was published before the delivered one, or in place of it. A subject
    /// without a message says nothing: the message may have expired.
    async fn is_before(&self, subject: &str, delivered: Known) -> Result<bool> {
        let last = self.bucket.message("watch", Find::Last(subject)).await?;
        Ok(last.is_some_and(|last| {
            last.sequence < delivered.sequence
                || (last.sequence == delivered.sequence && last.published != delivered.published)
        }))
    }
}

impl StoredMessage {
    fn known(&self) -> Known {
        Known {
            sequence: self.sequence,
            published: self.published,
        }
    }
}
