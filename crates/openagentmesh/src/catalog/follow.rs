//! Learning of the writes of the catalog: by a consumer of their headers, or by the state of the bucket.

use std::sync::Arc;

use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY};
use openagentmesh_protocol::{CatalogDocument, subject};
use tokio::time::sleep_until;

use super::shared::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, Shared};
use super::snapshot::CatalogSnapshot;
use super::state::replace;
use super::stored::BucketState;
use crate::error::Result;
use crate::store::{Delivery, Notices, OrderedConsumer, Schedule, Start};
use crate::util::backoff::Backoff;

/// Loads the catalog, and learns of its writes until the connection is closed.
pub(super) async fn keep_following(shared: Arc<Shared>) {
    tokio::join!(shared.refresh(), learn(&shared));
}

async fn learn(shared: &Arc<Shared>) {
    let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
    let mut last_seen = None;
    let mut has_failed = false;
    loop {
        match follow(shared, has_failed, &mut backoff, &mut last_seen).await {
            // The connection is closed.
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the catalog cannot be followed"),
        }
        has_failed = true;
        // The limit of consumers may be reached, or the user may lack the permission for one.
        check(shared, &mut last_seen).await;
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// Learns of writes by a consumer of their headers, until that fails or the connection is closed. Writes before may have
/// been missed if `has_failed`.
async fn follow(
    shared: &Arc<Shared>,
    has_failed: bool,
    backoff: &mut Backoff,
    last_seen: &mut Option<BucketState>,
) -> Result<()> {
    let subject = subject::kv(CATALOG, CATALOG_KEY);
    let catalog = Arc::clone(&shared.catalog);
    let mut consumer = OrderedConsumer::open(catalog, subject, Start::Last, true).await?;
    backoff.reset();
    if consumer.reads_one_by_one() {
        drop(consumer);
        return take_notices(shared, last_seen).await;
    }
    if has_failed {
        begin_again(shared, consumer.pending() == 0);
    }
    while let Some(delivery) = consumer.next().await {
        match delivery {
            Delivery::Message(message) => {
                let changed = message.changed.as_deref();
                shared
                    .heard
                    .send_if_modified(|heard| heard.hear(message.sequence, changed));
            }
            Delivery::Idle => {}
            Delivery::Denied(error) => return Err(error),
            Delivery::BucketRecreated => begin_again(shared, consumer.pending() == 0),
        }
    }
    Ok(())
}

/// Learns of writes by a subscription to their subject, and by the state of the bucket after each: a read of the message
/// would be one of the whole catalog. Ends when the connection is lost or closed.
async fn take_notices(shared: &Arc<Shared>, last_seen: &mut Option<BucketState>) -> Result<()> {
    let connection = shared.catalog.connection();
    let mut reconnections = connection.watch_reconnections();
    let closed = connection.closed();
    let subject = subject::kv(CATALOG, CATALOG_KEY);
    let mut notices = Notices::subscribe(connection, &subject).await?;
    let mut schedule = Schedule::new();
    loop {
        let before = last_seen.as_ref().map(BucketState::last_sequence);
        check(shared, last_seen).await;
        if let (Some(before), Some(now)) = (before, last_seen.as_ref()) {
            schedule.found(now.last_sequence().saturating_sub(before));
        }
        let (next_look, _) = schedule.next_look();
        tokio::select! {
            () = closed.cancelled() => return Ok(()),
            Ok(()) = reconnections.changed() => {
                return Err(shared.catalog.no_answer("watch", "the connection was lost"));
            }
            taken = notices.take() => match taken? {
                Some(count) => schedule.noticed(count),
                None => {
                    return Err(shared.catalog.no_answer("watch", "the subscription has ended"));
                }
            },
            () = sleep_until(next_look) => {}
        }
    }
}

/// Lets the next read replace the state, whatever its revision is. An empty bucket need not be read.
fn begin_again(shared: &Arc<Shared>, is_empty: bool) {
    shared.heard.send_modify(|heard| {
        if is_empty {
            heard.replaced(0);
            let empty = CatalogSnapshot::new(CatalogDocument::default(), 0);
            replace(&shared.state, Arc::new(empty));
        } else {
            heard.doubt();
        }
    });
}

/// Learns of writes by the state of the bucket, which is a small answer, and loads the catalog if it was never read.
async fn check(shared: &Arc<Shared>, last_seen: &mut Option<BucketState>) {
    match BucketState::read(&shared.catalog).await {
        Ok(now) => {
            let before = last_seen.replace(now);
            shared.heard.send_if_modified(|heard| {
                let has_lost = before.is_some_and(|before| now.has_lost(&before));
                if has_lost {
                    heard.doubt();
                }
                heard.hear_up_to(now.last_sequence()) || has_lost
            });
        }
        Err(error) => {
            tracing::debug!(%error, "the bucket of the catalog cannot be checked");
            shared.set_unavailable(&error);
        }
    }
    if shared.state.borrow().revision().is_none() {
        shared.refresh().await;
    }
}
