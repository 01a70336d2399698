//! What agents share: values under keys ([`Kv`]), and files ([`Workspace`]).

mod kv;
mod messages;
mod workspace;

pub use kv::{Json, Kv, KvChange, KvChanges, KvEntry, KvValue, KvWatch};
pub use workspace::{
    Download, ObjectChange, ObjectChanges, ObjectInfo, ObjectReader, ObjectWatch, Progress, Upload,
    Workspace,
};

pub(crate) use kv::KvBucket;
pub(crate) use workspace::ObjectBucket;
