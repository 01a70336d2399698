//! A bucket: opened on first use, created if it is missing.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_nats::jetstream::kv::Store;
use async_nats::jetstream::{self, stream::Stream};
use openagentmesh_protocol::ErrorCode;

use super::access::Access;
use super::error::StoreError;
use super::handle::Handle;
use super::opener::Opener;
use super::repeat::{Repeat, until_answered};
use super::unreadable::Unreadable;
use crate::error::{BoxError, Error, Result};
use crate::transport::{Connection, Denial, DenialWatch};
use crate::util::sync::Mutex;

/// Upper bound of the space that the headers of a stored message take in addition to its value, in bytes.
pub(crate) const HEADER_OVERHEAD: usize = 256;

/// The bucket of a mesh, opened on first use and opened again after every reconnection (the new server may
/// be another one, or may have lost its storage) and after it was deleted.
pub(crate) struct Bucket<H = Store> {
    connection: Connection,
    name: &'static str,
    opener: Arc<Opener<H>>,
    /// Whether a direct get may deliver a message on which the client loses its connection: it happened before, or is
    /// expected.
    pub(super) avoids_direct: AtomicBool,
    pub(super) unreadable: Unreadable,
}

/// The failure of an attempt at an operation.
enum Failure {
    NotOpened(Error),
    Failed(StoreError),
}

impl Failure {
    fn is_unanswered(&self) -> bool {
        match self {
            Self::NotOpened(error) => error.code() == &ErrorCode::ConnectionFailed,
            Self::Failed(error) => error.code() == ErrorCode::ConnectionFailed,
        }
    }
}

/// A key-value bucket.
pub(crate) type KvBucket = Bucket<Store>;

/// An object-store bucket.
pub(crate) type ObjectBucket = Bucket<Stream>;

impl<H: Handle> Bucket<H> {
    pub(crate) fn new(connection: Connection, name: &'static str) -> Self {
        Self {
            opener: Arc::new(Opener::new(connection.clone(), name)),
            connection,
            name,
            avoids_direct: AtomicBool::new(false),
            unreadable: Unreadable::default(),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// JetStream by the current client of the connection.
    pub(crate) fn jetstream(&self) -> jetstream::Context {
        self.opener.jetstream()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs `operation` on the open bucket. If the bucket turns out to be deleted, it is created again and
    /// `operation` is repeated once. A read is repeated after each reconnection, because its answer may be lost.
    ///
    /// # Errors
    ///
    /// The outer error when the bucket cannot be opened, when the server denies a request that `access` needs, or
    /// does not answer within 10 s. A slow transfer of the content gets more time. The inner error when `operation` fails.
    pub(crate) async fn with<T, E, F>(
        &self,
        access: Access,
        operation: impl Fn(Arc<H>) -> F,
    ) -> Result<Result<T, StoreError>>
    where
        E: Into<BoxError>,
        F: Future<Output = Result<T, E>>,
    {
        let timeout = access.timeout(self.connection.outgoing_bytes());
        let max_timeout = access.max_timeout(timeout);
        let _outgoing = self.connection.count_outgoing(access.outgoing_bytes());
        let is_idempotent = access.is_idempotent();
        let sending = access.sending_time(self.connection.outgoing_bytes());
        let problem = Mutex::new(None);
        let mut denied = self.watch_denials(access);
        let done = self.answered(is_idempotent, sending, &operation, &problem);
        // Checked after the watch was made, which sees later denials.
        if let Some(denial) = self.connection.denials.inbox() {
            return Err(denial.to_error());
        }
        let mut done = pin!(async {
            tokio::select! {
                biased;
                done = done => done,
                error = denied.denied() => Err(error),
            }
        });
        let mut progress = self.connection.receive_progress();
        let mut waited = Duration::ZERO;
        while waited < max_timeout {
            if let Ok(done) = tokio::time::timeout(timeout, &mut done).await {
                return done;
            }
            waited += timeout;
            if !progress.has_advanced(timeout) {
                break;
            }
        }
        // The bucket may be gone: where a subscriber has the subject of a write, the server does not say so.
        self.opener.close();
        Err(self.unanswered(problem.lock().take(), waited))
    }

    /// The error of an operation without an answer for `waited`, or with no other answer than `problem`.
    fn unanswered(&self, problem: Option<Failure>, waited: Duration) -> Error {
        match problem {
            Some(Failure::NotOpened(error)) => error,
            Some(Failure::Failed(error)) => error.into_error("use", self.name),
            None if self.connection.is_clustered() && self.connection.is_up() => self.no_answer(
                "use",
                format!(
                    "no leader: none of the servers that hold it has answered within {waited:?}; more than half of \
                     them must run"
                ),
            ),
            None => self.no_answer(
                "use",
                format!("no answer from the server within {waited:?}"),
            ),
        }
    }

    /// Runs `operation` until an answer arrives. The client does not repeat a request whose answer was lost with the
    /// connection.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with). If `operation` is not idempotent, also `connection_failed` when the connection is
    /// lost before the answer: the server may have done it.
    async fn answered<T, E, F>(
        &self,
        is_idempotent: bool,
        sending: Duration,
        operation: &impl Fn(Arc<H>) -> F,
        problem: &Mutex<Option<Failure>>,
    ) -> Result<Result<T, StoreError>>
    where
        E: Into<BoxError>,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            // An operation that is given up while the connection is lost must not be sent when it is restored.
            self.connection.up().await?;
            // Boxed, because the
            // future of each caller contains this one several times.
            let attempt = || async {
                let failure = match self.attempt(operation).await {
                    Ok(Ok(done)) => return Ok(done),
                    Ok(Err(error)) => Failure::Failed(error),
                    Err(error) => Failure::NotOpened(error),
                };
                Err(match is_idempotent && self.may_change(&failure) {
                    true => Repeat::Soon(failure),
                    false => Repeat::Never(failure),
                })
            };
            let on_problem = |failure| *problem.lock() = Some(failure);
            let attempt = Box::pin(async {
                match is_idempotent {
                    true => until_answered(&self.connection, sending, attempt, on_problem).await,
                    false => attempt().await.map_err(|repeat| match repeat {
                        Repeat::Soon(failure) | Repeat::Never(failure) => failure,
                    }),
                }
            });
            let done = self.connection.until_lost(attempt, Failure::is_unanswered);
            match done.await {
                Some(Ok(done)) => return Ok(Ok(done)),
                Some(Err(Failure::Failed(error))) => return Ok(Err(error)),
                Some(Err(Failure::NotOpened(error))) => return Err(error),
                None if is_idempotent => self.connection.recovered().await?,
                None => {
                    let reason = "the connection was lost before the server had answered; it may have been done";
                    return Err(self.no_answer("use", reason));
                }
            }
        }
    }

    /// Whether the cluster may answer otherwise soon: a bucket without a leader looks like a missing one to a write.
    fn may_change(&self, failure: &Failure) -> bool {
        let Failure::Failed(error) = failure else {
            return false;
        };
        let is_clustered = self.connection.is_clustered();
        error.is_temporary() || (is_clustered && error.is_bucket_missing())
    }

    async fn attempt<T, E, F>(
        &self,
        operation: &impl Fn(Arc<H>) -> F,
    ) -> Result<Result<T, StoreError>>
    where
        E: Into<BoxError>,
        F: Future<Output = Result<T, E>>,
    {
        let result = operation(self.open().await?).await.map_err(StoreError::new);
        match result {
            Err(error) if error.is_bucket_missing() => {
                self.opener.close();
                // Boxed, as every rare branch here: it would enlarge the future of each operation.
                let handle = self.open().await?;
                Ok(Box::pin(operation(handle)).await.map_err(StoreError::new))
            }
            done => Ok(done),
        }
    }

    /// As [`Bucket::with`], where every error of `operation` is a failure to `verb` the bucket.
    pub(crate) async fn try_with<T, E, F>(
        &self,
        verb: &str,
        access: Access,
        operation: impl Fn(Arc<H>) -> F,
    ) -> Result<T>
    where
        E: Into<BoxError>,
        F: Future<Output = Result<T, E>>,
    {
        let done = self.with(access, operation).await?;
        done.map_err(|error| error.into_error(verb, self.name))
    }

    /// Waits for the server's denial of a request that `access` needs.
    pub(crate) fn watch_denials(&self, access: Access) -> DenialWatch {
        let denials = &self.connection.denials;
        denials.watch(self.denial_filter(access))
    }

    /// Whether a denial concerns a request that `access` needs.
    pub(crate) fn denial_filter(
        &self,
        access: Access,
    ) -> impl Fn(&Denial) -> bool + Send + Sync + use<H> {
        let stream = self.stream_name();
        move |denial| access.is_prevented_by(denial, &stream)
    }

    /// The error of a failure to `verb` the bucket.
    pub(crate) fn failed(&self, verb: &str, cause: impl Into<BoxError>) -> Error {
        StoreError::new(cause).into_error(verb, self.name)
    }

    /// The error of an operation without an answer.
    pub(crate) fn no_answer(&self, verb: &str, reason: impl std::fmt::Display) -> Error {
        let message = format!(
            "cannot {verb} bucket '{}' of this mesh: {reason}{}",
            self.name,
            self.connection.lost()
        );
        Error::raised(ErrorCode::ConnectionFailed, message)
    }

    /// Opens the bucket, or creates it if it is missing.
    pub(crate) async fn ensure(&self) -> Result<()> {
        self.with(Access::Open, |_| std::future::ready(Ok::<_, BoxError>(())))
            .await?
            .map_err(|error| error.into_error("open", self.name))
    }

    /// Whether the bucket exists. It is not created.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the server does not permit the question, `connection_failed` when it does not answer,
    /// `storage_error` when the bucket cannot be opened.
    pub(crate) async fn exists(&self) -> Result<bool> {
        let timeout = Access::Open.timeout(0);
        let mut denied = self.watch_denials(Access::Open);
        tokio::select! {
            biased;
            error = denied.denied() => Err(error),
            found = tokio::time::timeout(timeout, self.opener.look_up()) => match found {
                Ok(found) => Ok(found?.is_some()),
                Err(_) => Err(self.unanswered(None, timeout)),
            },
        }
    }

    async fn open(&self) -> Result<Arc<H>> {
        match self.opener.opened() {
            Some(handle) => Ok(handle),
            None => Box::pin(self.opener.find_or_create()).await,
        }
    }
}
