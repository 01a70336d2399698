//! The last message of each subject of a bucket: as a list, and as a watch.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::bucket::{Bucket, Handle};
use crate::error::Result;
use crate::wire;

/// How long the next message of a list may take.
const NEXT: Duration = Duration::from_secs(5);

/// The last message of each subject that `filter` matches, in the order in which they were written. Of
/// a subject that is written meanwhile, all of them may be there.
pub(super) async fn list<H: Handle>(
    bucket: &Bucket<H>,
    filter: &str,
    headers_only: bool,
) -> Result<Vec<Message>> {
    let policy = DeliverPolicy::LastPerSubject;
    let (mut pending, mut messages) = open(bucket, filter, policy, headers_only).await?;
    let mut listed = Vec::new();
    while pending > 0 {
        let message = match tokio::time::timeout(NEXT, messages.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Err(bucket.failed("list", error)),
            Ok(None) => return Err(wire::closed("it was closed meanwhile")),
            Err(_) => return Err(bucket.failed("list", "what is in it does not come")),
        };
        let info = message
            .info()
            .map_err(|error| bucket.failed("list", error))?;
        pending = info.pending;
        listed.push(message);
    }
    Ok(listed)
}

/// What a message of a watched bucket is about, and what it says.
pub(super) trait Change {
    /// Whose change it is.
    fn name(&self) -> &str;

    /// Whether it says that there is nothing any more.
    fn is_deletion(&self) -> bool;
}

/// What is written to a subject that `filter` matches, as `read` reads it; before that, unless there are
/// to be `updates_only`, the last of each that was not deleted.
pub(super) async fn watch<H: Handle, C: Change + Send + 'static>(
    bucket: &Bucket<H>,
    filter: &str,
    updates_only: bool,
    read: impl Fn(&Message) -> Option<Result<C>> + Send + 'static,
) -> Result<BoxStream<'static, Result<C>>> {
    let policy = if updates_only {
        DeliverPolicy::New
    } else {
        DeliverPolicy::LastPerSubject
    };
    let (pending, messages) = open(bucket, filter, policy, false).await?;
    let name = bucket.name();
    // As long as these come, a deletion may be one of old, of what was never told.
    let mut told = (pending > 0 && !updates_only).then(HashSet::new);
    let changes = messages.filter_map(move |message| {
        std::future::ready(match message {
            Err(error) => Some(Err(crate::bucket::failed("watch", name, error))),
            Ok(message) => take(&message, &read, &mut told),
        })
    });
    Ok(changes.boxed())
}

fn take<C: Change>(
    message: &Message,
    read: &impl Fn(&Message) -> Option<Result<C>>,
    told: &mut Option<HashSet<String>>,
) -> Option<Result<C>> {
    let change = read(message);
    let Some(names) = told else {
        return change;
    };
    let is_news = match &change {
        Some(Ok(change)) if change.is_deletion() => names.remove(change.name()),
        Some(Ok(change)) => {
            names.insert(change.name().to_owned());
            true
        }
        _ => true,
    };
    if message.info().is_ok_and(|info| info.pending == 0) {
        *told = None;
    }
    change.filter(|_| is_news)
}

/// How many messages are there, and these and those that follow.
async fn open<H: Handle>(
    bucket: &Bucket<H>,
    filter: &str,
    deliver_policy: DeliverPolicy,
    headers_only: bool,
) -> Result<(u64, Ordered)> {
    let create = |handle: H| async move {
        let config = OrderedConfig {
            deliver_subject: bucket.connection().client.new_inbox(),
            deliver_policy,
            filter_subject: filter.to_owned(),
            headers_only,
            ..OrderedConfig::default()
        };
        handle.stream().create_consumer(config).await
    };
    let consumer: Consumer<OrderedConfig> = bucket.try_with("list", create).await?;
    let pending = consumer.cached_info().num_pending;
    let messages = consumer.messages().await;
    Ok((
        pending,
        messages.map_err(|error| bucket.failed("list", error))?,
    ))
}
