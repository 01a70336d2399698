//! The messages of a bucket, read one by one.
//!
//! A user with least privilege may have no consumers: their deliver subject would be one that the server publishes to in
//! place of the user. Such a user reads single messages, and subscribes to the subjects of the writes to know when.

use std::sync::Arc;

use async_nats::jetstream::stream::Info;
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};

use super::access::Access;
use super::active_consumer::Arrival;
use super::bucket::Bucket;
use super::handle::Handle;
use super::notices::Notices;
use super::reads::is_denied;
use super::schedule::Schedule;
use super::stored_message::{Find, StoredMessage};
use crate::error::Result;

/// A position in a bucket, and the notices of what is written after it.
pub(super) struct Cursor<H: Handle> {
    bucket: Arc<Bucket<H>>,
    filter: String,
    headers_only: bool,
    /// `None` where new messages are not awaited.
    notices: Option<Notices>,
    /// The sequence from which on the next message is searched.
    from: u64,
    /// Up to this sequence, messages are skipped that are not the last one of their subject.
    last_only_to: u64,
    /// The next message, while the messages are read that were there at the start: with it, the last one is known.
    ahead: Option<Box<StoredMessage>>,
    /// The creation time of the bucket.
    created: OffsetDateTime,
    /// The time of the next read.
    read_at: Instant,
    /// Whether the next read follows no notice.
    is_check: bool,
    schedule: Schedule,
}

/// The outcome of a read.
enum Found {
    Message(Box<StoredMessage>),
    Nothing,
    /// The bucket was created again, or went back to an earlier state.
    Recreated,
}

impl<H: Handle> Cursor<H> {
    /// See [`Source::create`](super::source::Source::create). New messages are awaited if `is_followed`.
    pub(super) async fn create(
        bucket: &Arc<Bucket<H>>,
        filter: &str,
        headers_only: bool,
        next_sequence: Option<u64>,
        info: &Info,
        is_followed: bool,
    ) -> Result<(Self, u64)> {
        let mut notices = None;
        if is_followed {
            notices = Some(Notices::subscribe(bucket.connection(), filter).await?);
        }
        let keeps_last_only = info.config.max_messages_per_subject == 1;
        let mut cursor = Self {
            bucket: Arc::clone(bucket),
            filter: filter.to_owned(),
            headers_only,
            notices,
            from: next_sequence.unwrap_or(1),
            last_only_to: match next_sequence {
                None if !keeps_last_only => info.state.last_sequence,
                _ => 0,
            },
            ahead: None,
            created: info.created,
            read_at: Instant::now(),
            is_check: false,
            schedule: Schedule::new(),
        };
        // Also where there is none: a denial is reported at once.
        cursor.ahead = cursor.read().await?;
        if let Some(notices) = &mut cursor.notices {
            // The client reports a denial of the subscription from a task of its own, at the latest when the answer to a
            // later request has arrived.
            let info = |handle: Arc<H>| async move { handle.stream().get_info().await };
            bucket.try_with("watch", Access::Open, info).await?;
            notices.check()?;
        }
        let pending = u64::from(cursor.ahead.is_some());
        Ok((cursor, pending))
    }

    /// The next event. Cancel-safe.
    pub(super) async fn next(&mut self) -> Arrival {
        match self.arrival().await {
            Ok(arrival) => arrival,
            Err(error) if is_denied(&error) => Arrival::Denied(error),
            Err(error) => {
                tracing::debug!(%error, bucket = self.bucket.name(), "a watch is interrupted");
                Arrival::Lost
            }
        }
    }

    async fn arrival(&mut self) -> Result<Arrival> {
        if self.ahead.is_some() {
            let following = self.read().await?;
            if let Some(message) = std::mem::replace(&mut self.ahead, following) {
                return Ok(Arrival::Message(message, u64::from(self.ahead.is_some())));
            }
        }
        loop {
            if !self.wait().await? {
                return Ok(Arrival::Lost);
            }
            match self.look().await? {
                Found::Message(message) => {
                    self.schedule.found(1);
                    // Further ones may follow.
                    self.read_at = Instant::now();
                    self.is_check = false;
                    return Ok(Arrival::Message(message, 0));
                }
                Found::Recreated => return Ok(Arrival::Lost),
                Found::Nothing => {
                    let was_check = self.is_check;
                    (self.read_at, self.is_check) = self.schedule.next_look();
                    if was_check {
                        return Ok(Arrival::Idle);
                    }
                }
            }
        }
    }

    /// Waits until a read is due. Returns whether the subscription goes on.
    async fn wait(&mut self) -> Result<bool> {
        let notices = &mut self.notices;
        let taken = async {
            match notices {
                Some(notices) => notices.take().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            taken = taken => {
                let Some(count) = taken? else {
                    return Ok(false);
                };
                self.schedule.noticed(count);
                self.read_at = Instant::now();
                self.is_check = false;
            }
            () = sleep_until(self.read_at) => {}
        }
        Ok(true)
    }

    /// Looks for the next message. A check asks for the state of the bucket first, which is a small answer.
    async fn look(&mut self) -> Result<Found> {
        let mut end = None;
        if self.is_check {
            let info = |handle: Arc<H>| async move { handle.stream().get_info().await };
            let info = self.bucket.try_with("watch", Access::Open, info).await?;
            let next = info.state.last_sequence + 1;
            if info.created != self.created || next < self.from {
                return Ok(Found::Recreated);
            }
            if next == self.from {
                return Ok(Found::Nothing);
            }
            end = Some(next);
        }
        match self.read().await? {
            Some(message) => Ok(Found::Message(message)),
            None => {
                // The messages up to there have other subjects.
                self.from = end.unwrap_or(self.from).max(self.from);
                Ok(Found::Nothing)
            }
        }
    }

    /// Reads the next message. Cancel-safe.
    async fn read(&mut self) -> Result<Option<Box<StoredMessage>>> {
        loop {
            let find = Find::Next {
                filter: &self.filter,
                from: self.from,
            };
            let Some(mut message) = self.bucket.message("watch", find).await? else {
                return Ok(None);
            };
            let is_due = message.sequence > self.last_only_to || self.is_last(&message).await?;
            self.from = message.sequence + 1;
            if is_due {
                if self.headers_only {
                    message.payload = Bytes::new();
                }
                return Ok(Some(Box::new(message)));
            }
        }
    }

    /// Whether no later message has the subject of `message`.
    async fn is_last(&self, message: &StoredMessage) -> Result<bool> {
        let last = Find::Last(&message.subject);
        let last = self.bucket.message("watch", last).await?;
        Ok(last.is_none_or(|last| last.sequence <= message.sequence))
    }
}
