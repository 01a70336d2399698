//! The two kinds of buckets: key-value stores and object stores.

use std::error::Error as StdError;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{GetStreamError, KeyValueError};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType, Stream};

use crate::error::Result;
use crate::transport::Connection;

/// The client's handle of an open bucket: a key-value store, or the stream of an object store.
pub(crate) trait Handle: Send + Sync + Sized + 'static {
    /// The name of a bucket's stream is this prefix and the bucket's name.
    const STREAM_PREFIX: &str;

    /// The reason why a bucket cannot be opened.
    type OpenError: StdError + Send + Sync + 'static;

    /// Opens bucket `name`.
    fn open(
        jetstream: &jetstream::Context,
        name: &str,
    ) -> impl Future<Output = Result<Self, Self::OpenError>> + Send;

    /// The stream that stores the bucket.
    fn stream(&self) -> &Stream;

    /// The configuration of a new bucket `name`: exactly that of the published SDKs, because some of
    /// them fail when the bucket exists with another one.
    ///
    /// The number of replicas is the only difference; peers do not compare it.
    fn config(name: &str, connection: &Connection, replicas: usize) -> Config;
}

impl Handle for Store {
    const STREAM_PREFIX: &str = "KV_";

    type OpenError = KeyValueError;

    async fn open(jetstream: &jetstream::Context, name: &str) -> Result<Self, KeyValueError> {
        jetstream.get_key_value(name).await
    }

    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn config(name: &str, connection: &Connection, replicas: usize) -> Config {
        Config {
            name: [Self::STREAM_PREFIX, name].concat(),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: replicas,
            duplicate_window: Duration::from_secs(120),
            deny_delete: true,
            allow_rollup: true,
            allow_direct: false,
            allow_message_ttl: connection.client().is_server_compatible(2, 11, 0),
            ..Config::default()
        }
    }
}

impl Handle for Stream {
    const STREAM_PREFIX: &str = "OBJ_";

    type OpenError = GetStreamError;

    async fn open(jetstream: &jetstream::Context, name: &str) -> Result<Self, GetStreamError> {
        jetstream
            .get_stream([Self::STREAM_PREFIX, name].concat())
            .await
    }

    fn stream(&self) -> &Stream {
        self
    }

    fn config(name: &str, _connection: &Connection, replicas: usize) -> Config {
        Config {
            name: [Self::STREAM_PREFIX, name].concat(),
            subjects: vec![format!("$O.{name}.C.>"), format!("$O.{name}.M.>")],
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: replicas,
            allow_rollup: true,
            allow_direct: true,
            ..Config::default()
        }
    }
}
