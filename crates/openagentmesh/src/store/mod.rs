//! The buckets of a mesh in JetStream: opened, read, written and watched.

mod access;
mod active_consumer;
mod bucket;
mod consumer_guard;
mod cursor;
mod direct_get;
mod ensure;
mod error;
mod handle;
mod header_block;
pub(crate) mod latest;
mod notices;
mod ordered_consumer;
mod reads;
mod repeat;
mod replicas;
mod shared_bucket;
mod source;
mod status;
mod stored_message;
mod values;

pub(crate) use access::Access;
pub(crate) use bucket::{Bucket, HEADER_OVERHEAD, KvBucket, ObjectBucket};
pub(crate) use consumer_guard::ConsumerGuard;
pub(crate) use ensure::ensure_buckets;
pub(crate) use error::StoreError;
pub(crate) use header_block::Meaning;
pub(crate) use notices::Notices;
pub(crate) use ordered_consumer::{Delivery, OrderedConsumer};
pub use replicas::BucketReplicas;
pub(crate) use replicas::replicate_buckets;
pub(crate) use shared_bucket::SharedBucket;
pub(crate) use source::Start;
pub use status::{BucketStatus, JetStreamStatus, PeerStatus, StoredBucket};
pub(crate) use status::{bucket_status, jetstream_status};
pub(crate) use stored_message::{Changed, Find, StoredMessage, find_last};
