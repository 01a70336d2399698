//! Opening the mesh's key-value buckets, and making them where they are missing.

use std::error::Error as StdError;
use std::time::Duration;

use async_nats::RequestErrorKind;
use async_nats::jetstream::context::{
    GetStreamErrorKind, KeyValueError, KeyValueErrorKind, RequestError,
};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::{ErrorCode as ApiErrorCode, stream};
use openagentmesh_protocol::ErrorCode;
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::error::{BoxError, Error, Result};

/// Room that the headers of a stored message take beside its value, in bytes.
pub(super) const ENVELOPE: usize = 256;

/// A key-value bucket that is opened when it is first needed, and again after every reconnection:
/// the server may be another one, or have lost what it stored.
pub(super) struct Bucket {
    connection: Connection,
    name: &'static str,
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    store: Store,
    reconnections: u64,
}

impl Bucket {
    pub(super) fn new(connection: Connection, name: &'static str) -> Self {
        Self {
            connection,
            name,
            opened: Mutex::new(None),
        }
    }

    /// The bucket, or `None` while nobody has made it.
    pub(super) async fn open(&self) -> Result<Option<Store>> {
        self.opened(false).await
    }

    /// The bucket, which is made if nobody has.
    pub(super) async fn open_or_create(&self) -> Result<Store> {
        match self.opened(true).await? {
            Some(store) => Ok(store),
            None => Err(failed("open", self.name, "it is gone again")),
        }
    }

    async fn opened(&self, create: bool) -> Result<Option<Store>> {
        let mut opened = self.opened.lock().await;
        let reconnections = self.connection.reconnections();
        if let Some(opened) = &*opened
            && opened.reconnections == reconnections
        {
            return Ok(Some(opened.store.clone()));
        }
        let found = match self.find().await? {
            None if create => self.create().await?,
            found => found,
        };
        *opened = found.clone().map(|store| Opened {
            store,
            reconnections,
        });
        Ok(found)
    }

    async fn find(&self) -> Result<Option<Store>> {
        match self.connection.jetstream.get_key_value(self.name).await {
            Ok(store) => Ok(Some(store)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) if is_without_jetstream(&error) => Err(Error::raised(
                ErrorCode::ConnectionFailed,
                "the server has no JetStream, which a mesh needs; \
                 `oam mesh up` starts one that has, `nats-server -js` another",
            )
            .with_source(error)),
            Err(error) => Err(failed("open", self.name, error)),
        }
    }

    /// Peers that start together make it together; whoever comes second finds it.
    async fn create(&self) -> Result<Option<Store>> {
        let created = self.connection.jetstream.create_stream(self.config()).await;
        match (self.find().await?, created) {
            (None, Err(error)) => Err(failed("create", self.name, error)),
            (found, _) => Ok(found),
        }
    }

    /// Exactly what the published SDKs ask for, so that none of them fails for finding the
    /// bucket made by another at the same moment.
    fn config(&self) -> stream::Config {
        stream::Config {
            name: format!("KV_{}", self.name),
            subjects: vec![format!("$KV.{}.>", self.name)],
            max_messages_per_subject: 1,
            discard: stream::DiscardPolicy::New,
            storage: stream::StorageType::File,
            num_replicas: 1,
            duplicate_window: Duration::from_secs(120),
            deny_delete: true,
            allow_rollup: true,
            allow_direct: false,
            allow_message_ttl: self.connection.client.is_server_compatible(2, 11, 0),
            ..stream::Config::default()
        }
    }
}

fn is_missing(error: &KeyValueError) -> bool {
    error.kind() == KeyValueErrorKind::GetBucket
        && chain(error)
            .filter_map(|cause| {
                cause.downcast_ref::<async_nats::jetstream::context::GetStreamError>()
            })
            .any(|cause| match cause.kind() {
                GetStreamErrorKind::JetStream(api) => {
                    api.error_code() == ApiErrorCode::STREAM_NOT_FOUND
                }
                _ => false,
            })
}

fn is_without_jetstream(error: &KeyValueError) -> bool {
    use async_nats::jetstream::context::RequestErrorKind as JetStreamRequest;
    chain(error).any(|cause| {
        cause
            .downcast_ref::<RequestError>()
            .is_some_and(|cause| cause.kind() == JetStreamRequest::NoResponders)
            || cause
                .downcast_ref::<async_nats::RequestError>()
                .is_some_and(|cause| cause.kind() == RequestErrorKind::NoResponders)
    })
}

fn chain<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An operation on a bucket that the server did not carry out.
pub(super) fn failed(verb: &str, bucket: &str, error: impl Into<BoxError>) -> Error {
    let error = error.into();
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!("cannot {verb} bucket '{bucket}' of this mesh: {error}"),
    )
    .with_source(error)
}
