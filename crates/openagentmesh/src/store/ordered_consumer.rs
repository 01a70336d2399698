//! The messages of a bucket in their order, across lost connections.
//!
//! This is a plain push consumer of the client with its subscription, and not one of the client's two
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
//! The client's plain `push::Messages` hides idle heartbeats, too, does not compare the sequence that they
//! carry, and panics in a task of its own when it answers a flow control message on a closed connection.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::NATS_LAST_CONSUMER;
use async_nats::jetstream::consumer::push::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{
    ConsumerError, Info, LastRawMessageError, LastRawMessageErrorKind,
};
use async_nats::jetstream::{self, Message};
use async_nats::{HeaderValue, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::try_join_all;
use openagentmesh_protocol::ErrorCode;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::access::Access;
use super::bucket::Bucket;
use super::consumer_guard::ConsumerGuard;
use super::handle::Handle;
use crate::error::{Error, Result};
use crate::transport::{self, Action, DenialWatch};
use crate::util::backoff::Backoff;

/// The interval of the server's heartbeats while there are no messages.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(2);
/// A consumer counts as lost when neither message nor heartbeat arrived for so long.
const MISSED_HEARTBEAT: Duration = Duration::from_secs(5);
/// The server deletes a consumer whose subscription ended so long ago.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(5);
/// The first part of the subjects on which the server expects flow control. Another process may send a message that
/// looks like the server's.
const FLOW_CONTROL: &str = "$JS.FC.";
/// The bounds of the back-off between attempts to replace a lost consumer.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The number of delivered messages that are compared with those of a bucket after a loss.
const MAX_REMEMBERED: usize = 32;

/// The first message of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The last message of each subject, then all new ones.
    Last,
    /// The first message written from now on.
    New,
}

/// An event of an [`OrderedConsumer`].
pub(crate) enum Delivery {
    Message(Box<Message>),
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
    active: Option<ActiveConsumer>,
    /// The back-off between attempts to replace a lost consumer; reset by a message.
    backoff: Backoff,
}

/// Identifies a message in its bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    sequence: u64,
    published: OffsetDateTime,
}

/// A consumer on the server, with the subscription that it delivers to.
struct ActiveConsumer {
    messages: Subscriber,
    jetstream: jetstream::Context,
    /// The number of matching messages when it was created.
    pending: u64,
    /// The number of its messages that have arrived.
    delivered: u64,
    /// The server's denial of the subscription.
    denied: DenialWatch,
    _guard: ConsumerGuard,
}

/// An event of an [`ActiveConsumer`].
enum Arrival {
    Message(Box<Message>, Known),
    Idle,
    /// A message or a heartbeat is missing.
    Lost,
    /// The server denies the subscription, or the answers to its flow control.
    Denied(Error),
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
            backoff: Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY),
        };
        consumer.activate().await?;
        Ok(consumer)
    }

    /// The number of matching messages when the consumer was created.
    pub(crate) fn pending(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| active.pending)
    }

    /// The next event; `None` once the connection is closed, then and on every later call. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        let closed = self.bucket.connection().closed();
        closed.run_until_cancelled(self.delivery()).await
    }

    async fn delivery(&mut self) -> Delivery {
        loop {
            if let Some(active) = &mut self.active {
                let arrival = tokio::select! {
                    biased;
                    arrival = active.next() => arrival,
                    // Messages in flight at that time are lost.
                    Ok(()) = self.reconnections.changed() => Arrival::Lost,
                };
                match arrival {
                    Arrival::Message(message, delivered) => {
                        self.next_sequence = Some(delivered.sequence + 1);
                        self.remember(&message, delivered);
                        self.backoff.reset();
                        return Delivery::Message(message);
                    }
                    Arrival::Idle => return Delivery::Idle,
                    Arrival::Lost => self.active = None,
                    Arrival::Denied(error) => return self.denied(error).await,
                }
            }
            match self.activate().await {
                Ok(true) => return Delivery::BucketRecreated,
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

    /// Creates a consumer that starts after the last delivered message. Returns whether the bucket was
    /// recreated.
    async fn activate(&mut self) -> Result<bool> {
        self.reconnections.mark_unchanged();
        let info = |handle: Arc<H>| async move { handle.stream().get_info().await };
        let info = self.bucket.try_with("watch", Access::Open, info).await?;
        let is_recreated = self.created.is_some_and(|created| created != info.created)
            || self.has_gone_back(&info).await?;
        if is_recreated {
            self.is_recreated = true;
            self.next_sequence = None;
            self.last_known = None;
            self.delivered.clear();
            // All that is in it is new.
            self.start = Start::Last;
        }
        if self.next_sequence.is_none() && self.start == Start::New {
            self.next_sequence = Some(info.state.last_sequence + 1);
        }
        self.active = Some(self.create_consumer().await?);
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

    /// Gives the consumer up and waits for the back-off, because the next call replaces the consumer.
    async fn denied(&mut self, error: Error) -> Delivery {
        self.active = None;
        tokio::time::sleep(self.backoff.next_delay()).await;
        Delivery::Denied(error)
    }

    fn remember(&mut self, message: &Message, known: Known) {
        if self
            .last_known
            .is_none_or(|last| last.sequence <= known.sequence)
        {
            self.last_known = Some(known);
        }
        if self.delivered.len() >= MAX_REMEMBERED {
            self.delivered.pop_front();
        }
        self.delivered
            .push_back((message.subject.to_string(), known));
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
        let find = |handle: Arc<H>| async move {
            optional(handle.stream().get_raw_message(last.sequence).await)
        };
        let found = self.bucket.try_with("watch", Access::Read, find).await?;
        if let Some(found) = found {
            return Ok(found.time != last.published);
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
        let find = |handle: Arc<H>| async move {
            let stream = handle.stream();
            optional(stream.get_last_raw_message_by_subject(subject).await)
        };
        let last = self.bucket.try_with("watch", Access::Read, find).await?;
        Ok(last.is_some_and(|last| {
            last.sequence < delivered.sequence
                || (last.sequence == delivered.sequence && last.time != delivered.published)
        }))
    }

    async fn create_consumer(&self) -> Result<ActiveConsumer> {
        let deliver_policy = match self.next_sequence {
            None => DeliverPolicy::LastPerSubject,
            Some(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
        };
        let client = self.bucket.connection().client();
        let inbox = client.new_inbox();
        let own = inbox.clone();
        let denials = &self.bucket.connection().denials;
        let prevents = self.bucket.denial_filter(Access::Consume);
        let mut denied =
            denials.watch(move |denial| denial.denies(Action::Subscribe, &own) || prevents(denial));
        let messages = client.subscribe(inbox.clone()).await;
        let messages = messages.map_err(|error| transport::closed(error.to_string()))?;
        let config = Config {
            deliver_subject: inbox,
            deliver_policy,
            filter_subject: self.filter.clone(),
            headers_only: self.headers_only,
            ack_policy: AckPolicy::None,
            flow_control: true,
            idle_heartbeat: IDLE_HEARTBEAT,
            inactive_threshold: INACTIVE_THRESHOLD,
            memory_storage: true,
            num_replicas: 1,
            ..Config::default()
        };
        let create = |handle: Arc<H>| {
            let config = config.clone();
            async move {
                let stream = handle.stream().clone();
                let consumer: Consumer<Config> = stream.create_consumer(config).await?;
                Ok::<_, ConsumerError>((consumer, stream))
            }
        };
        let (consumer, stream) = self
            .bucket
            .try_with("watch", Access::Consume, create)
            .await?;
        let info = consumer.cached_info();
        let guard = ConsumerGuard::new(stream, info.name.clone());
        denied.check()?;
        Ok(ActiveConsumer {
            messages,
            jetstream: self.bucket.jetstream(),
            pending: info.num_pending,
            delivered: 0,
            denied,
            _guard: guard,
        })
    }
}

fn optional(
    found: Result<StreamMessage, LastRawMessageError>,
) -> Result<Option<StreamMessage>, LastRawMessageError> {
    match found {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl ActiveConsumer {
    /// Cancel-safe.
    async fn next(&mut self) -> Arrival {
        loop {
            let next = tokio::time::timeout(MISSED_HEARTBEAT, self.messages.next());
            let next = tokio::select! {
                biased;
                next = next => next,
                error = self.denied.denied() => return Arrival::Denied(error),
            };
            let Ok(Some(message)) = next else {
                return Arrival::Lost;
            };
            if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
                match self.handle_status(&message) {
                    Status::FlowControl(subject) => self.answer_flow_control(subject).await,
                    Status::Idle => return Arrival::Idle,
                    Status::MessageLost => return Arrival::Lost,
                }
                continue;
            }
            let message = Message {
                message,
                context: self.jetstream.clone(),
            };
            // Other clients may publish to the subject, too.
            let Ok(info) = message.info() else {
                continue;
            };
            if info.consumer_sequence != self.delivered + 1 {
                return Arrival::Lost;
            }
            self.delivered = info.consumer_sequence;
            let delivered = Known {
                sequence: info.stream_sequence,
                published: info.published,
            };
            return Arrival::Message(Box::new(message), delivered);
        }
    }

    fn handle_status(&self, message: &async_nats::Message) -> Status {
        if let Some(subject) = &message.reply
            && subject.starts_with(FLOW_CONTROL)
        {
            return Status::FlowControl(subject.clone());
        }
        let header = |name: &str| message.headers.as_ref()?.get(name).map(HeaderValue::as_str);
        // A lost flow control message is repeated in the heartbeats.
        let stalled = header("Nats-Consumer-Stalled");
        if let Some(subject) = stalled.filter(|subject| subject.starts_with(FLOW_CONTROL)) {
            return Status::FlowControl(subject.into());
        }
        let sent = header(NATS_LAST_CONSUMER.as_ref()).and_then(|number| number.parse().ok());
        if sent.is_some_and(|sent: u64| sent > self.delivered) {
            return Status::MessageLost;
        }
        Status::Idle
    }

    /// Lets the server send more: all messages before are taken.
    async fn answer_flow_control(&self, subject: Subject) {
        let client = self.jetstream.client();
        if let Err(error) = client.publish(subject, Bytes::new()).await {
            tracing::debug!(%error, "the connection is closed");
        }
    }
}

/// The content of a message without payload.
enum Status {
    /// The server continues once this subject is answered.
    FlowControl(Subject),
    /// All messages so far are sent and have arrived.
    Idle,
    /// A message was sent and has not arrived.
    MessageLost,
}
