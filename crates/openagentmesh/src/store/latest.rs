//! The last message of each subject of a bucket: as a list, and as a watch.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::access::Access;
use super::bucket::Bucket;
use super::handle::Handle;
use super::header_block::Meaning;
use super::ordered_consumer::{Delivery, OrderedConsumer};
use super::source::Start;
use super::stored_message::{Find, StoredMessage};
use crate::error::{BoxError, Error, Result};
use crate::transport;
use crate::util::backoff::Backoff;

/// The limit of the wait for a server of a cluster that has not every write yet.
const CURRENT_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of concurrent reads of a list without a consumer.
const MAX_CONCURRENT: usize = 64;
/// The number of subjects up to which a list reads each with a request rather than lose the connection. For more, that takes
/// longer than another connection.
const MAX_SINGLE_READS: usize = 4096;
/// The back-off of lists that lack a write.
const FIRST_DELAY: Duration = Duration::from_millis(10);
const MAX_DELAY: Duration = Duration::from_millis(250);

/// The last message of each subject that `filter` matches, in the order of their writes. A subject that is
/// written at the same time may appear several times. Malformed messages are skipped. Has every write that was
/// acknowledged before.
///
/// # Errors
///
/// Those of [`Bucket::with`]; `connection_failed` also when the servers of a cluster do not agree in time.
pub(crate) async fn list<H: Handle>(
    bucket: &Arc<Bucket<H>>,
    filter: String,
    headers_only: bool,
) -> Result<Vec<StoredMessage>> {
    if !bucket.connection().is_clustered() {
        return read(bucket, filter, headers_only).await;
    }
    let end = Instant::now() + CURRENT_TIMEOUT;
    let mut backoff = Backoff::new(FIRST_DELAY, MAX_DELAY);
    loop {
        // The leader has every write. The server of the consumer may have fewer.
        let last = bucket.message("list", Find::Last(&filter)).await?;
        let last = last.filter(|last| !matches!(last.meaning, Meaning::Malformed(_)));
        let listed = read(bucket, filter.clone(), headers_only).await?;
        let is_current = last.is_none_or(|last| {
            let mut newest = listed.iter().rev();
            newest.any(|message| message.sequence >= last.sequence)
        });
        if is_current {
            return Ok(listed);
        }
        if Instant::now() >= end {
            return Err(bucket.no_answer("list", "its servers do not have the same messages"));
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn read<H: Handle>(
    bucket: &Arc<Bucket<H>>,
    filter: String,
    headers_only: bool,
) -> Result<Vec<StoredMessage>> {
    if bucket.has_unreadable(&filter).await?
        && let Some(listed) = read_each(bucket, &filter, headers_only, MAX_SINGLE_READS).await?
    {
        return Ok(listed);
    }
    let mut consumer = OrderedConsumer::open(
        Arc::clone(bucket),
        filter.clone(),
        Start::Stored,
        headers_only,
    )
    .await?;
    if consumer.reads_one_by_one() {
        let listed = read_each(bucket, &filter, headers_only, usize::MAX).await?;
        return Ok(listed.unwrap_or_default());
    }
    let mut listed = Vec::new();
    while consumer.pending() > 0 {
        match consumer.next().await {
            Some(Delivery::Message(message)) => {
                if !matches!(message.meaning, Meaning::Malformed(_)) {
                    listed.push(*message);
                }
            }
            Some(Delivery::Denied(error)) => return Err(error),
            // The remaining messages were removed after the consumer had counted them.
            Some(Delivery::Idle | Delivery::BucketRecreated) => break,
            None => {
                return Err(transport::closed(
                    "the connection was closed during the list",
                ));
            }
        }
    }
    Ok(listed)
}

/// The list of a user who may have no consumers, or of a bucket with a message that the client cannot receive: the server names the subjects, and the last message of each is read with
/// a request of its own. `None` if there are more than `max` subjects.
async fn read_each<H: Handle>(
    bucket: &Arc<Bucket<H>>,
    filter: &str,
    headers_only: bool,
    max: usize,
) -> Result<Option<Vec<StoredMessage>>> {
    let subjects = |handle: Arc<H>| async move {
        let subjects = handle.stream().info_with_subjects(filter).await?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await?;
        Ok::<_, BoxError>(subjects)
    };
    let subjects = bucket.try_with("list", Access::Open, subjects).await?;
    if subjects.len() > max {
        return Ok(None);
    }
    let messages = subjects.into_iter().map(|(subject, _)| async move {
        let mut message = bucket.message("list", Find::Last(&subject)).await?;
        if headers_only && let Some(message) = &mut message {
            message.payload = Bytes::new();
        }
        Ok::<_, Error>(message)
    });
    let messages = stream::iter(messages).buffer_unordered(MAX_CONCURRENT);
    let found: Vec<Option<StoredMessage>> = messages.try_collect().await?;
    let mut listed: Vec<_> = found
        .into_iter()
        .flatten()
        .filter(|message| !matches!(message.meaning, Meaning::Malformed(_)))
        .collect();
    listed.sort_unstable_by_key(|message| message.sequence);
    Ok(Some(listed))
}

/// A change of a watched bucket.
pub(crate) trait Change {
    /// The name of the changed key or file.
    fn name(&self) -> &str;

    /// Whether the value was removed.
    fn is_deletion(&self) -> bool;
}

/// The changes of the subjects that `filter` matches, each parsed with `parse`, which may skip messages. Malformed
/// messages are skipped.
/// With [`Start::Last`] the current values come first, without earlier deletions. Ends with the connection.
pub(crate) async fn watch<H: Handle, C: Change + Send + 'static>(
    bucket: &Arc<Bucket<H>>,
    filter: String,
    start: Start,
    parse: impl Fn(&StoredMessage) -> Option<Result<C>> + Send + 'static,
) -> Result<BoxStream<'static, Result<C>>> {
    let consumer = OrderedConsumer::open(Arc::clone(bucket), filter, start, false).await?;
    let has_values = consumer.pending() > 0 && start == Start::Last;
    let watch = Watch {
        consumer,
        reported: has_values.then(HashSet::new),
        parse,
    };
    let changes = stream::unfold(watch, |mut watch| async move {
        let change = watch.next().await?;
        Some((change, watch))
    });
    Ok(changes.fuse().boxed())
}

struct Watch<H: Handle, P> {
    consumer: OrderedConsumer<H>,
    /// The names reported so far, while the current values are delivered: a deletion of another name
    /// happened before the watch.
    reported: Option<HashSet<String>>,
    parse: P,
}

impl<H: Handle, P> Watch<H, P> {
    async fn next<C: Change>(&mut self) -> Option<Result<C>>
    where
        P: Fn(&StoredMessage) -> Option<Result<C>>,
    {
        loop {
            match self.consumer.next().await? {
                Delivery::Message(message) if matches!(message.meaning, Meaning::Malformed(_)) => {}
                Delivery::Message(message) => {
                    if let Some(change) = self.handle_message(&message) {
                        return Some(change);
                    }
                }
                Delivery::Denied(error) => return Some(Err(error)),
                Delivery::Idle | Delivery::BucketRecreated => self.reported = None,
            }
        }
    }

    fn handle_message<C: Change>(&mut self, message: &StoredMessage) -> Option<Result<C>>
    where
        P: Fn(&StoredMessage) -> Option<Result<C>>,
    {
        let change = (self.parse)(message);
        let Some(reported) = &mut self.reported else {
            return change;
        };
        let is_new = match &change {
            Some(Ok(change)) if change.is_deletion() => reported.remove(change.name()),
            Some(Ok(change)) => {
                reported.insert(change.name().to_owned());
                true
            }
            _ => true,
        };
        if self.consumer.pending() == 0 {
            self.reported = None;
        }
        change.filter(|_| is_new)
    }
}
