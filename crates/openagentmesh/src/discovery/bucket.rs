//! Opening the mesh's key-value buckets, and making them where they are missing.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{GetStreamErrorKind, KeyValueErrorKind};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::{self, ErrorCode as ApiErrorCode, stream};
use openagentmesh_protocol::ErrorCode;
use tokio::sync::OnceCell;

use crate::error::{BoxError, Error, Result};

/// Room that the headers of a stored message take beside its value, in bytes.
pub(super) const ENVELOPE: usize = 256;

/// A key-value bucket that is opened when it is first needed.
pub(super) struct Bucket {
    jetstream: jetstream::Context,
    name: &'static str,
    store: OnceCell<Store>,
}

impl Bucket {
    pub(super) fn new(jetstream: jetstream::Context, name: &'static str) -> Self {
        Self {
            jetstream,
            name,
            store: OnceCell::new(),
        }
    }

    /// The bucket, or `None` while nobody has made it.
    pub(super) async fn open(&self) -> Result<Option<&Store>> {
        if let Some(store) = self.store.get() {
            return Ok(Some(store));
        }
        match self.find().await? {
            Some(store) => Ok(Some(self.store.get_or_init(|| async { store }).await)),
            None => Ok(None),
        }
    }

    /// The bucket, which is made if nobody has.
    pub(super) async fn open_or_create(&self, client: &Client) -> Result<&Store> {
        self.store
            .get_or_try_init(|| async {
                if let Some(store) = self.find().await? {
                    return Ok(store);
                }
                // Peers that start together make it together; whoever comes second finds it.
                let created = self.jetstream.create_stream(self.config(client)).await;
                match (self.find().await?, created) {
                    (Some(store), _) => Ok(store),
                    (None, Err(error)) => Err(failed("create", self.name, error)),
                    (None, Ok(_)) => Err(failed("open", self.name, "it is gone again")),
                }
            })
            .await
    }

    async fn find(&self) -> Result<Option<Store>> {
        match self.jetstream.get_key_value(self.name).await {
            Ok(store) => Ok(Some(store)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("open", self.name, error)),
        }
    }

    /// Exactly what the published SDKs ask for, so that none of them fails for finding the
    /// bucket made by another at the same moment.
    fn config(&self, client: &Client) -> stream::Config {
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
            allow_message_ttl: client.is_server_compatible(2, 11, 0),
            ..stream::Config::default()
        }
    }
}

fn is_missing(error: &jetstream::context::KeyValueError) -> bool {
    use std::error::Error as _;
    if error.kind() != KeyValueErrorKind::GetBucket {
        return false;
    }
    error
        .source()
        .and_then(|source| source.downcast_ref::<jetstream::context::GetStreamError>())
        .is_some_and(|error| match error.kind() {
            GetStreamErrorKind::JetStream(error) => {
                error.error_code() == ApiErrorCode::STREAM_NOT_FOUND
            }
            _ => false,
        })
}

/// An operation on a bucket that the server did not carry out.
pub(super) fn failed(verb: &str, bucket: &str, error: impl Into<BoxError>) -> Error {
    let error = error.into();
    Error::new(
        ErrorCode::ConnectionFailed,
        format!(
            "cannot {verb} bucket '{bucket}' of this mesh: {error}; \
             a mesh needs a NATS server with JetStream, as `oam mesh up` starts it"
        ),
    )
    .with_source(error)
}
