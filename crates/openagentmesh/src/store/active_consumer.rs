//! A push consumer on the server, and the messages that it delivers.

use std::sync::Arc;
use std::time::Duration;

use async_nats::header::NATS_LAST_CONSUMER;
use async_nats::jetstream::consumer::push::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::stream::ConsumerError;
use async_nats::jetstream::{self, Message};
use async_nats::{HeaderValue, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;

use super::access::Access;
use super::bucket::Bucket;
use super::consumer_guard::ConsumerGuard;
use super::handle::Handle;
use super::stored_message::StoredMessage;
use crate::error::{Error, Result};
use crate::transport::{self, Action, DenialWatch};

/// The interval of the server's heartbeats while there are no messages.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(2);
/// A consumer counts as lost when neither message nor heartbeat arrived for so long.
const MISSED_HEARTBEAT: Duration = Duration::from_secs(5);
/// The server deletes a consumer whose subscription ended so long ago.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(5);
/// The first part of the subjects on which the server expects flow control. Another process may send a message that
/// looks like the server's.
const FLOW_CONTROL: &str = "$JS.FC.";
/// The first part of the reply subject of a message of the bucket. The message may have a status, which its writer chose.
const ACKNOWLEDGEMENT: &str = "$JS.ACK.";
/// A consumer on the server, with the subscription that it delivers to.
pub(super) struct ActiveConsumer {
    messages: Subscriber,
    jetstream: jetstream::Context,
    /// The number of its messages that have arrived.
    delivered: u64,
    /// The server's denial of the subscription.
    denied: DenialWatch,
    _guard: ConsumerGuard,
}

/// An event of an [`ActiveConsumer`].
pub(super) enum Arrival {
    /// A message, and the number of matching messages after it.
    Message(Box<StoredMessage>, u64),
    Idle,
    /// A message or a heartbeat is missing.
    Lost,
    /// The server denies the subscription, or the answers to its flow control.
    Denied(Error),
}

impl ActiveConsumer {
    /// Creates a consumer of the messages that `filter` matches, from `next_sequence` on, or with the last one of each
    /// subject. Returns it with the number of its messages that the bucket has.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer, `connection_denied` and `storage_error` when it refuses the
    /// consumer.
    pub(super) async fn create<H: Handle>(
        bucket: &Bucket<H>,
        filter: &str,
        headers_only: bool,
        next_sequence: Option<u64>,
    ) -> Result<(Self, u64)> {
        let deliver_policy = match next_sequence {
            None => DeliverPolicy::LastPerSubject,
            Some(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
        };
        let client = bucket.connection().client();
        let inbox = client.new_inbox();
        let own = inbox.clone();
        let denials = &bucket.connection().denials;
        let prevents = bucket.denial_filter(Access::Consume);
        let mut denied =
            denials.watch(move |denial| denial.denies(Action::Subscribe, &own) || prevents(denial));
        let messages = client.subscribe(inbox.clone()).await;
        let messages = messages.map_err(|error| transport::closed(error.to_string()))?;
        let config = Config {
            // Makes the creation idempotent, which is asked for again in a cluster that does not answer.
            name: bucket.connection().write_id(),
            deliver_subject: inbox,
            deliver_policy,
            filter_subject: filter.to_owned(),
            headers_only,
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
        let (consumer, stream) = bucket.try_with("watch", Access::Consume, create).await?;
        let info = consumer.cached_info();
        let guard = ConsumerGuard::new(stream, info.name.clone());
        denied.check()?;
        let active = Self {
            messages,
            jetstream: bucket.jetstream(),
            delivered: 0,
            denied,
            _guard: guard,
        };
        Ok((active, info.num_pending))
    }

    /// The next event. Cancel-safe.
    pub(super) async fn next(&mut self) -> Arrival {
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
            let is_stored = message
                .reply
                .as_ref()
                .is_some_and(|reply| reply.starts_with(ACKNOWLEDGEMENT));
            if !is_stored && message.status == Some(StatusCode::IDLE_HEARTBEAT) {
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
            let (sequence, published) = (info.stream_sequence, info.published);
            let pending = info.pending;
            let message = StoredMessage::received(message.message, sequence, published);
            return Arrival::Message(Box::new(message), pending);
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
