//! The state of a bucket at the server, by which lost messages are noticed.

use std::sync::Arc;

use async_nats::jetstream::kv::Store;
use time::OffsetDateTime;

use crate::error::Result;
use crate::store::{Access, KvBucket};

/// The state of a bucket at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketState {
    created: OffsetDateTime,
    last_sequence: u64,
    last_published: OffsetDateTime,
    messages: u64,
}

impl BucketState {
    pub(super) async fn read(bucket: &KvBucket) -> Result<Self> {
        let info = |store: Arc<Store>| async move { store.stream.get_info().await };
        let info = bucket.try_with("read", Access::Open, info).await?;
        Ok(Self {
            created: info.created,
            last_sequence: info.state.last_sequence,
            last_published: info.state.last_timestamp,
            messages: info.state.messages,
        })
    }

    /// The number of the last message.
    pub(super) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Whether the last message of the bucket has this number and this time.
    pub(super) fn ends_with(&self, sequence: u64, published: OffsetDateTime) -> bool {
        (self.last_sequence, self.last_published) == (sequence, published)
    }

    /// Whether messages may be missing that were there `before`: the bucket was purged, deleted, or restored.
    pub(crate) fn has_lost(&self, before: &Self) -> bool {
        self.created != before.created
            || self.last_sequence < before.last_sequence
            || self.messages < before.messages
    }
}
