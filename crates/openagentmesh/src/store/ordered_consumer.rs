//! The messages of a bucket as they are written, however often the connection is lost meanwhile.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::push::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::stream::{ConsumerError, Stream};
use async_nats::jetstream::{self, Message};
use async_nats::{HeaderValue, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::{Bucket, Handle};
use crate::error::Result;
use crate::transport;

/// How often the server says that it has nothing to say.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long nothing may be heard until a consumer counts as gone.
const SILENCE: Duration = Duration::from_secs(5);
/// How long the server remembers a consumer that nobody listens to.
const FORGOTTEN: Duration = Duration::from_secs(5);
/// How long to wait before a consumer is made anew after that failed; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What comes of a bucket first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The last message of each subject.
    Last,
    /// What is written from now on.
    New,
}

/// The messages of the subjects that a filter matches, in their order. A consumer that is lost is made
/// anew, behind the message that came last; a bucket that was made anew begins again.
///
/// Dropping it removes its consumer from the server.
pub(crate) struct OrderedConsumer<H: Handle> {
    bucket: Arc<Bucket<H>>,
    filter: String,
    start: Start,
    headers_only: bool,
    reconnections: watch::Receiver<u64>,
    /// The bucket's number of the message that comes next; 0 while that is not known.
    next: u64,
    /// When the bucket was made that is read.
    created: Option<OffsetDateTime>,
    open: Option<Open>,
}

/// A consumer.
struct Open {
    messages: Subscriber,
    jetstream: jetstream::Context,
    stream: Stream,
    name: String,
    /// How many messages it had when it was made.
    pending: u64,
    /// How many of its messages have come.
    delivered: u64,
}

/// What has come.
pub(crate) enum Delivery {
    Message(Box<Message>),
    /// There is nothing now.
    Idle,
    /// The bucket was made anew: nothing of what came before is in it.
    BucketRecreated,
}

impl<H: Handle> OrderedConsumer<H> {
    /// # Errors
    ///
    /// `connection_failed` when the consumer cannot be made.
    pub(crate) async fn open(
        bucket: Arc<Bucket<H>>,
        filter: String,
        start: Start,
        headers_only: bool,
    ) -> Result<Self> {
        let mut tail = Self {
            reconnections: bucket.connection().watch_reconnections(),
            bucket,
            filter,
            start,
            headers_only,
            next: 0,
            created: None,
            open: None,
        };
        let (open, _) = tail.consume().await?;
        tail.open = Some(open);
        Ok(tail)
    }

    /// How many messages the consumer had when it was made.
    pub(crate) fn pending(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.pending)
    }

    /// What comes next; `None` once the connection is closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        let closed = self.bucket.connection().closed();
        closed.run_until_cancelled(self.arrival()).await
    }

    async fn arrival(&mut self) -> Delivery {
        let mut pause = FIRST_PAUSE;
        loop {
            match &mut self.open {
                Some(open) => {
                    let arrival = tokio::select! {
                        biased;
                        arrival = open.next() => arrival,
                        // What was on its way is lost.
                        _ = self.reconnections.changed() => None,
                    };
                    match arrival {
                        Some(Some((message, sequence))) => {
                            self.next = sequence + 1;
                            return Delivery::Message(Box::new(message));
                        }
                        Some(None) => return Delivery::Idle,
                        None => self.close(),
                    }
                }
                None => match self.consume().await {
                    Ok((open, is_anew)) => {
                        self.open = Some(open);
                        if is_anew {
                            return Delivery::BucketRecreated;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, bucket = self.bucket.name(), "a watch waits");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                },
            }
        }
    }

    /// Makes a consumer, where the one before has come to; says whether it is one of another bucket.
    async fn consume(&mut self) -> Result<(Open, bool)> {
        self.reconnections.mark_unchanged();
        let info = |handle: Arc<H>| async move { handle.stream().get_info().await };
        let info = self.bucket.try_with("watch", info).await?;
        let before = self.created.replace(info.created);
        let is_anew = before.is_some_and(|before| before != info.created);
        if is_anew {
            self.next = info.state.first_sequence.max(1);
        }
        if self.next == 0 && self.start == Start::New {
            self.next = info.state.last_sequence + 1;
        }
        let deliver_policy = match self.next {
            0 => DeliverPolicy::LastPerSubject,
            start_sequence => DeliverPolicy::ByStartSequence { start_sequence },
        };
        let client = &self.bucket.connection().client;
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await;
        let messages = messages.map_err(|error| transport::closed(error.to_string()))?;
        let config = Config {
            deliver_subject: inbox,
            deliver_policy,
            filter_subject: self.filter.clone(),
            headers_only: self.headers_only,
            ack_policy: AckPolicy::None,
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            inactive_threshold: FORGOTTEN,
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
        let (consumer, stream) = self.bucket.try_with("watch", create).await?;
        let info = consumer.cached_info();
        let open = Open {
            messages,
            name: info.name.clone(),
            pending: info.num_pending,
            delivered: 0,
            jetstream: self.bucket.connection().jetstream.clone(),
            stream,
        };
        Ok((open, is_anew))
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            forget(open.stream, open.name);
        }
    }
}

impl<H: Handle> Drop for OrderedConsumer<H> {
    fn drop(&mut self) {
        self.close();
    }
}

impl Open {
    /// The next message, with its number in the bucket; `Some(None)` where there is none now, `None` when
    /// the consumer is lost. Cancel-safe.
    async fn next(&mut self) -> Option<Option<(Message, u64)>> {
        loop {
            let message = tokio::time::timeout(SILENCE, self.messages.next())
                .await
                .ok()??;
            if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
                match self.heed(&message) {
                    Control::Proceed(subject) => self.proceed(subject).await,
                    Control::Idle => return Some(None),
                    Control::Lost => return None,
                }
                continue;
            }
            let message = Message {
                message,
                context: self.jetstream.clone(),
            };
            let Ok(info) = message.info() else {
                // Whatever this is, it is none of the consumer's messages.
                continue;
            };
            let (sequence, delivered) = (info.stream_sequence, info.consumer_sequence);
            if delivered != self.delivered + 1 {
                return None;
            }
            self.delivered = delivered;
            return Some(Some((message, sequence)));
        }
    }

    /// What the server says of the consumer.
    fn heed(&self, message: &async_nats::Message) -> Control {
        if let Some(subject) = &message.reply {
            return Control::Proceed(subject.clone());
        }
        let header = |name| message.headers.as_ref()?.get(name).map(HeaderValue::as_str);
        if let Some(subject) = header("Nats-Consumer-Stalled") {
            return Control::Proceed(subject.into());
        }
        let sent = header("Nats-Last-Consumer").and_then(|number| number.parse().ok());
        if sent.is_some_and(|sent: u64| sent > self.delivered) {
            return Control::Lost;
        }
        Control::Idle
    }

    /// Lets the server send on: all before is taken.
    async fn proceed(&self, subject: Subject) {
        let client = self.jetstream.client();
        if let Err(error) = client.publish(subject, Bytes::new()).await {
            tracing::debug!(%error, "the connection is closed");
        }
    }
}

/// What a message says that carries nothing.
enum Control {
    /// More comes once this is answered.
    Proceed(Subject),
    /// There is nothing to send now.
    Idle,
    /// Something was sent that did not come.
    Lost,
}

/// Removes a consumer, which the server would otherwise do later.
pub(crate) fn forget(stream: Stream, name: String) {
    // Without a runtime, the server finds out by itself.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            if let Err(error) = stream.delete_consumer(&name).await {
                tracing::debug!(%error, "a consumer stays until the server removes it");
            }
        });
    }
}
