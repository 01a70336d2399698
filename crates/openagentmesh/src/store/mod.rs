//! The buckets of a mesh in JetStream: opened, read, written and watched.

mod access;
mod bucket;
mod consumer_guard;
mod ensure;
mod error;
mod handle;
pub(crate) mod latest;
mod ordered_consumer;
mod shared_bucket;
mod values;

pub(crate) use access::Access;
pub(crate) use bucket::{Bucket, HEADER_OVERHEAD, KvBucket, ObjectBucket};
pub(crate) use consumer_guard::ConsumerGuard;
pub(crate) use ensure::ensure_buckets;
pub(crate) use error::StoreError;
pub(crate) use ordered_consumer::{Delivery, OrderedConsumer, Start};
pub(crate) use shared_bucket::SharedBucket;
pub(crate) use values::is_value;
