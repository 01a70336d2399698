//! The mesh's buckets over JetStream: opening, creating, reading, writing and following them.

mod bucket;
mod key_value;
pub(crate) mod latest;
mod ordered_consumer;

pub(crate) use bucket::{
    Bucket, HEADER_OVERHEAD, Handle, KvBucket, ObjectBucket, SharedBucket, failed, is_too_large,
};
pub(crate) use key_value::{Change, MARKER, OPERATION, PUT, StoreError};
pub(crate) use ordered_consumer::{Delivery, OrderedConsumer, Start, forget};
