//! The last message of each subject of a bucket: as a list, and as a watch.

use std::collections::HashSet;
use std::sync::Arc;

use async_nats::jetstream::Message;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::{Bucket, Delivery, Handle, OrderedConsumer, Start};
use crate::error::Result;
use crate::transport;

/// The last message of each subject that `filter` matches, in the order in which they were written. Of
/// a subject that is written meanwhile, all of them may be there.
pub(crate) async fn list<H: Handle>(
    bucket: &Arc<Bucket<H>>,
    filter: String,
    headers_only: bool,
) -> Result<Vec<Message>> {
    let mut tail =
        OrderedConsumer::open(Arc::clone(bucket), filter, Start::Last, headers_only).await?;
    let mut pending = tail.pending();
    let mut listed = Vec::new();
    while pending > 0 {
        match tail.next().await {
            Some(Delivery::Message(message)) => {
                let info = message.info();
                pending = info.map_err(|error| bucket.failed("list", error))?.pending;
                listed.push(*message);
            }
            // What was to come was removed meanwhile.
            Some(Delivery::Idle | Delivery::BucketRecreated) => break,
            None => return Err(transport::closed("it was closed meanwhile")),
        }
    }
    Ok(listed)
}

/// What a message of a watched bucket is about, and what it says.
pub(crate) trait Change {
    /// Whose change it is.
    fn name(&self) -> &str;

    /// Whether it says that there is nothing any more.
    fn is_deletion(&self) -> bool;
}

/// What is written to a subject that `filter` matches, as `read` reads it; before that, if it starts with
/// the last of each, those that are no deletions. Ends with the connection.
pub(crate) async fn watch<H: Handle, C: Change + Send + 'static>(
    bucket: &Arc<Bucket<H>>,
    filter: String,
    start: Start,
    read: impl Fn(&Message) -> Option<Result<C>> + Send + 'static,
) -> Result<BoxStream<'static, Result<C>>> {
    let tail = OrderedConsumer::open(Arc::clone(bucket), filter, start, false).await?;
    // As long as these come, a deletion may be one of old, of what was never told.
    let told = (tail.pending() > 0 && start == Start::Last).then(HashSet::new);
    let watch = Watch { tail, told, read };
    let changes = stream::unfold(watch, |mut watch| async move {
        let change = watch.next().await?;
        Some((change, watch))
    });
    Ok(changes.fuse().boxed())
}

struct Watch<H: Handle, R> {
    tail: OrderedConsumer<H>,
    told: Option<HashSet<String>>,
    read: R,
}

impl<H: Handle, R> Watch<H, R> {
    async fn next<C: Change>(&mut self) -> Option<Result<C>>
    where
        R: Fn(&Message) -> Option<Result<C>>,
    {
        loop {
            match self.tail.next().await? {
                Delivery::Message(message) => {
                    if let Some(change) = take(&message, &self.read, &mut self.told) {
                        return Some(change);
                    }
                }
                Delivery::Idle | Delivery::BucketRecreated => self.told = None,
            }
        }
    }
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
