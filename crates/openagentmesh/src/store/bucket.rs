//! The mesh's buckets: opened when they are first needed, made where they are missing, read, written and
//! followed.

use std::error::Error as StdError;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::RequestErrorKind;
use async_nats::jetstream::context::{
    GetStreamError, GetStreamErrorKind, KeyValueError, PublishError, PublishErrorKind, RequestError,
};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::{
    Config, ConsumerError, ConsumerErrorKind, DiscardPolicy, LastRawMessageError,
    LastRawMessageErrorKind, StorageType, Stream,
};
use async_nats::jetstream::{self, ErrorCode as ApiErrorCode};
use openagentmesh_protocol::ErrorCode;
use tokio::sync::Semaphore;

use super::StoreError;
use crate::error::{BoxError, Error, Result};
use crate::transport::{Connection, ConnectionGuard};

/// Room that the headers of a stored message take beside its value, in bytes.
pub(crate) const HEADER_OVERHEAD: usize = 256;

/// How long the server may take for one operation.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many writes of a bucket may be under way: a server refuses more than it has room for.
const WRITES: usize = 1000;

/// What a bucket is to the client: a key-value store, or the stream under an object store.
pub(crate) trait Handle: Send + Sync + Sized + 'static {
    /// Why it cannot be opened.
    type OpenError: StdError + Send + Sync + 'static;

    /// Opens bucket `name`.
    fn open(
        jetstream: &jetstream::Context,
        name: &str,
    ) -> impl Future<Output = Result<Self, Self::OpenError>> + Send;

    /// The stream that it is made of.
    fn stream(&self) -> &Stream;

    /// How bucket `name` is made: exactly what the published SDKs ask for, so that none of them
    /// fails for finding the bucket made by another at the same moment.
    fn config(name: &str, connection: &Connection) -> Config;
}

/// A bucket that is opened when it is first needed, and again after every reconnection (the server
/// may be another one, or have lost what it stored) and when it turns out to be gone.
pub(crate) struct Bucket<H = Store> {
    connection: Connection,
    name: &'static str,
    opened: Mutex<Option<Opened<H>>>,
    /// Held by whoever opens it, for all who need it.
    opening: tokio::sync::Mutex<()>,
    /// Places for writes that are under way.
    pub(super) writing: Semaphore,
}

struct Opened<H> {
    handle: Arc<H>,
    reconnections: u64,
}

/// A bucket of the mesh's values.
pub(crate) type KvBucket = Bucket<Store>;

/// The bucket of the mesh's files.
pub(crate) type ObjectBucket = Bucket<Stream>;

/// A bucket that keeps the connection open as long as it is used.
pub(crate) struct SharedBucket<B> {
    bucket: Arc<B>,
    connection: Arc<ConnectionGuard>,
}

impl<B> SharedBucket<B> {
    pub(crate) fn new(bucket: B, connection: &Arc<ConnectionGuard>) -> Self {
        Self {
            bucket: Arc::new(bucket),
            connection: Arc::clone(connection),
        }
    }
}

impl<B> Clone for SharedBucket<B> {
    fn clone(&self) -> Self {
        Self {
            bucket: Arc::clone(&self.bucket),
            connection: Arc::clone(&self.connection),
        }
    }
}

impl<B> std::ops::Deref for SharedBucket<B> {
    type Target = Arc<B>;

    fn deref(&self) -> &Arc<B> {
        &self.bucket
    }
}

impl<H: Handle> Bucket<H> {
    pub(crate) fn new(connection: Connection, name: &'static str) -> Self {
        Self {
            connection,
            name,
            opened: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            writing: Semaphore::new(WRITES),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Does `what` with the bucket, which is made if nobody has. If somebody deletes it meanwhile, it
    /// is made anew and `what` is done again.
    ///
    /// # Errors
    ///
    /// The outer one when the bucket cannot be opened, or the server does not answer within 10 s; the
    /// inner one is that of `what`.
    pub(crate) async fn with<T, E, F>(&self, what: impl Fn(Arc<H>) -> F) -> Result<Result<T, E>>
    where
        E: StdError + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let done = pin!(async {
            match what(self.open().await?).await {
                Err(error) if is_gone(&error) => {
                    self.forget();
                    // Boxed, like all that is rare here: every operation's future would be larger.
                    let handle = self.open().await?;
                    Ok(Box::pin(what(handle)).await)
                }
                done => Ok(done),
            }
        });
        match tokio::time::timeout(PATIENCE, done).await {
            Ok(done) => done,
            Err(_) => Err(Error::raised(
                ErrorCode::ConnectionFailed,
                format!(
                    "the server did not answer for bucket '{}' of this mesh within {PATIENCE:?}: \
                     the connection is lost or slow, or its user may not use the bucket",
                    self.name
                ),
            )),
        }
    }

    /// As [`Bucket::with`], where every error of `what` is a failure to `verb` the bucket.
    pub(crate) async fn try_with<T, E, F>(
        &self,
        verb: &str,
        what: impl Fn(Arc<H>) -> F,
    ) -> Result<T>
    where
        E: StdError + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let done = self.with(what).await?;
        done.map_err(|error| self.failed(verb, error))
    }

    /// The error of an operation that the server did not carry out.
    pub(crate) fn failed(&self, verb: &str, error: impl Into<BoxError>) -> Error {
        failed(verb, self.name, error)
    }

    /// The bucket itself, which is made if nobody has.
    pub(crate) async fn handle(&self) -> Result<Arc<H>> {
        self.with(|handle| std::future::ready(Ok::<_, std::convert::Infallible>(handle)))
            .await?
            .map_err(|never| match never {})
    }

    async fn open(&self) -> Result<Arc<H>> {
        match self.opened() {
            Some(handle) => Ok(handle),
            None => Box::pin(self.find_or_create()).await,
        }
    }

    /// The bucket, if it was opened on this connection.
    fn opened(&self) -> Option<Arc<H>> {
        let opened = self.lock();
        let opened = opened.as_ref()?;
        let is_current = opened.reconnections == self.connection.reconnections();
        is_current.then(|| Arc::clone(&opened.handle))
    }

    async fn find_or_create(&self) -> Result<Arc<H>> {
        let _opening = self.opening.lock().await;
        if let Some(handle) = self.opened() {
            return Ok(handle);
        }
        let reconnections = self.connection.reconnections();
        let handle = match self.find().await? {
            Some(found) => found,
            None => self.create().await?,
        };
        let handle = Arc::new(handle);
        *self.lock() = Some(Opened {
            handle: Arc::clone(&handle),
            reconnections,
        });
        Ok(handle)
    }

    fn forget(&self) {
        *self.lock() = None;
    }

    /// Nothing that holds the lock can panic halfway through a change.
    fn lock(&self) -> MutexGuard<'_, Option<Opened<H>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self) -> Result<Option<H>> {
        match H::open(&self.connection.jetstream, self.name).await {
            Ok(handle) => Ok(Some(handle)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) if is_without_jetstream(&error) => Err(Error::raised(
                ErrorCode::ConnectionFailed,
                "the server has no JetStream, which a mesh needs; \
                 `oam mesh up` starts one that has, `nats-server -js` another",
            )
            .with_source(error)),
            Err(error) => Err(self.failed("open", error)),
        }
    }

    /// Peers that start together make it together; whoever comes second finds it.
    async fn create(&self) -> Result<H> {
        let config = H::config(self.name, &self.connection);
        let created = self.connection.jetstream.create_stream(config).await;
        match (self.find().await?, created) {
            (Some(found), _) => Ok(found),
            (None, Err(error)) => Err(self.failed("create", error)),
            (None, Ok(_)) => Err(self.failed("open", "it is gone again")),
        }
    }
}

impl Handle for Store {
    type OpenError = KeyValueError;

    async fn open(jetstream: &jetstream::Context, name: &str) -> Result<Self, KeyValueError> {
        jetstream.get_key_value(name).await
    }

    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn config(name: &str, connection: &Connection) -> Config {
        Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: 1,
            duplicate_window: Duration::from_secs(120),
            deny_delete: true,
            allow_rollup: true,
            allow_direct: false,
            allow_message_ttl: connection.client.is_server_compatible(2, 11, 0),
            ..Config::default()
        }
    }
}

impl Handle for Stream {
    type OpenError = GetStreamError;

    async fn open(jetstream: &jetstream::Context, name: &str) -> Result<Self, GetStreamError> {
        jetstream.get_stream(format!("OBJ_{name}")).await
    }

    fn stream(&self) -> &Stream {
        self
    }

    fn config(name: &str, _connection: &Connection) -> Config {
        Config {
            name: format!("OBJ_{name}"),
            subjects: vec![format!("$O.{name}.C.>"), format!("$O.{name}.M.>")],
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: 1,
            allow_rollup: true,
            allow_direct: true,
            ..Config::default()
        }
    }
}

/// Whether `error` says that there is no such bucket.
fn is_gone(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|cause| {
        let api = cause.downcast_ref::<jetstream::Error>();
        let opening = cause
            .downcast_ref::<GetStreamError>()
            .map(|error| error.kind());
        let publishing = cause
            .downcast_ref::<PublishError>()
            .map(|error| error.kind());
        let reading = cause
            .downcast_ref::<LastRawMessageError>()
            .map(|error| error.kind());
        let consuming = cause
            .downcast_ref::<ConsumerError>()
            .map(|error| error.kind());
        let code = match (&opening, &consuming, &reading) {
            (Some(GetStreamErrorKind::JetStream(api)), _, _)
            | (_, Some(ConsumerErrorKind::JetStream(api)), _)
            | (_, _, Some(LastRawMessageErrorKind::JetStream(api))) => Some(api.error_code()),
            _ => api.map(jetstream::Error::error_code),
        };
        code == Some(ApiErrorCode::STREAM_NOT_FOUND)
            || publishing == Some(PublishErrorKind::StreamNotFound)
            || matches!(cause.downcast_ref(), Some(StoreError::Nobody))
    })
}

/// Whether `error` says that a message is larger than its bucket allows.
pub(crate) fn is_too_large(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|cause| {
        let api = cause.downcast_ref::<jetstream::Error>();
        api.is_some_and(|api| api.error_code() == ApiErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
    })
}

fn is_without_jetstream(error: &(dyn StdError + 'static)) -> bool {
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
pub(crate) fn failed(verb: &str, bucket: &str, error: impl Into<BoxError>) -> Error {
    let error = error.into();
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!("cannot {verb} bucket '{bucket}' of this mesh: {error}"),
    )
    .with_source(error)
}
