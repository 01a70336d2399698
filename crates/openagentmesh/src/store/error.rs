//! Errors of operations on buckets.

use std::error::Error as StdError;
use std::fmt;

use async_nats::RequestErrorKind;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, PublishError,
    PublishErrorKind, RequestError, RequestErrorKind as ApiRequestErrorKind,
};
use async_nats::jetstream::kv::{UpdateError, UpdateErrorKind};
use async_nats::jetstream::stream::{
    ConsumerError, ConsumerErrorKind, LastRawMessageError, LastRawMessageErrorKind, PurgeError,
    PurgeErrorKind,
};
use async_nats::jetstream::{self, ErrorCode as ApiErrorCode};
use openagentmesh_protocol::ErrorCode;

use crate::error::{BoxError, Error};

/// The failure of an operation on a bucket: an answer of JetStream, or the lack of one.
#[derive(Debug)]
pub(crate) struct StoreError(BoxError);

impl StoreError {
    pub(crate) fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }

    /// Whether a compare-and-swap failed: the last write of the key has another revision than expected.
    pub(crate) fn is_wrong_revision(&self) -> bool {
        matches!(
            self.api_code(),
            Some(
                ApiErrorCode::STREAM_WRONG_LAST_SEQUENCE
                    | ApiErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
            )
        )
    }

    /// Whether the bucket does not exist.
    pub(crate) fn is_bucket_missing(&self) -> bool {
        self.api_code() == Some(ApiErrorCode::STREAM_NOT_FOUND)
            || self.causes().any(|cause| {
                kind(cause, PublishError::kind) == Some(PublishErrorKind::StreamNotFound)
            })
    }

    /// Whether the same question may be answered soon: the cluster or the bucket has no leader, or the same write is
    /// being done.
    pub(crate) fn is_temporary(&self) -> bool {
        /// The error of a write that is repeated while its first attempt is under way.
        const DUPLICATE_IN_PROGRESS: u64 = 10158;
        self.api_code().is_some_and(|code| {
            matches!(
                code,
                ApiErrorCode::CLUSTER_NOT_AVAILABLE
                    | ApiErrorCode::CLUSTER_NOT_LEADER
                    | ApiErrorCode::CLUSTER_NOT_ACTIVE
                    | ApiErrorCode::STREAM_OFFLINE
            ) || code.0 == DUPLICATE_IN_PROGRESS
        })
    }

    /// Whether the servers cannot hold the replicas of a bucket: there are too few, or they do not know each other yet.
    pub(crate) fn is_without_peers(&self) -> bool {
        matches!(
            self.api_code(),
            Some(
                ApiErrorCode::CLUSTER_NO_PEERS
                    | ApiErrorCode::CLUSTER_INCOMPLETE
                    | ApiErrorCode::INSUFFICIENT_RESOURCES
                    | ApiErrorCode::STREAM_REPLICAS_NOT_SUPPORTED
            )
        )
    }

    /// Whether a bucket of the same name exists, or is being created.
    pub(crate) fn is_name_taken(&self) -> bool {
        self.api_code() == Some(ApiErrorCode::STREAM_NAME_EXIST)
    }

    /// Whether a server without a cluster cannot hold replicas.
    pub(crate) fn is_without_cluster(&self) -> bool {
        self.api_code() == Some(ApiErrorCode::STREAM_REPLICAS_NOT_SUPPORTED)
    }

    /// Whether a message is larger than its bucket allows.
    pub(crate) fn is_too_large(&self) -> bool {
        self.api_code() == Some(ApiErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
    }

    /// Whether no server answers requests to JetStream.
    pub(crate) fn is_without_jetstream(&self) -> bool {
        self.causes().any(|cause| {
            kind(cause, RequestError::kind) == Some(ApiRequestErrorKind::NoResponders)
                || kind(cause, async_nats::RequestError::kind)
                    == Some(RequestErrorKind::NoResponders)
                || kind(cause, CreateStreamError::kind)
                    == Some(CreateStreamErrorKind::JetStreamUnavailable)
        })
    }

    /// Whether JetStream answered that the server, or the account, may not use it.
    pub(crate) fn is_jetstream_disabled(&self) -> bool {
        matches!(
            self.api_code(),
            Some(
                ApiErrorCode::JETSTREAM_NOT_ENABLED
                    | ApiErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
            )
        )
    }

    /// `storage_error` when JetStream answered, `connection_failed` when no answer arrived.
    pub(crate) fn code(&self) -> ErrorCode {
        let is_answered = self.api_error().is_some()
            || self.is_bucket_missing()
            || self.is_without_jetstream()
            || self.causes().any(|cause| cause.is::<serde_json::Error>());
        if !is_answered && self.causes().any(is_unanswered) {
            ErrorCode::ConnectionFailed
        } else {
            ErrorCode::StorageError
        }
    }

    /// The error of the SDK for a failure to `verb` bucket `bucket`.
    pub(crate) fn into_error(self, verb: &str, bucket: &str) -> Error {
        let message = format!("cannot {verb} bucket '{bucket}' of this mesh: {self}");
        Error::raised(self.code(), message).with_source(self)
    }

    fn api_code(&self) -> Option<ApiErrorCode> {
        self.api_error().map(|error| error.error_code())
    }

    /// The error that JetStream answered with.
    fn api_error(&self) -> Option<jetstream::Error> {
        self.causes().find_map(api_error)
    }

    fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let first: &(dyn StdError + 'static) = &*self.0;
        std::iter::successors(Some(first), |&cause| cause.source())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's own text names other operations: a failed put is "failed getting entry".
        match self.api_error() {
            Some(error) => write!(f, "JetStream answered: {error}"),
            None => self.0.fmt(f),
        }
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// The kind of `cause`, if `cause` is an `E`.
fn kind<E: StdError + 'static, K>(
    cause: &(dyn StdError + 'static),
    kind: impl Fn(&E) -> K,
) -> Option<K> {
    cause.downcast_ref().map(kind)
}

/// The answer of JetStream that `cause` is, or has as its kind.
fn api_error(cause: &(dyn StdError + 'static)) -> Option<jetstream::Error> {
    if let Some(error) = cause.downcast_ref::<jetstream::Error>() {
        return Some(error.clone());
    }
    if let Some(GetStreamErrorKind::JetStream(error)) = kind(cause, GetStreamError::kind) {
        return Some(error);
    }
    if let Some(CreateStreamErrorKind::JetStream(error)) = kind(cause, CreateStreamError::kind) {
        return Some(error);
    }
    if let Some(ConsumerErrorKind::JetStream(error)) = kind(cause, ConsumerError::kind) {
        return Some(error);
    }
    if let Some(LastRawMessageErrorKind::JetStream(error)) = kind(cause, LastRawMessageError::kind)
    {
        return Some(error);
    }
    if let Some(PurgeErrorKind::JetStream(error)) = kind(cause, PurgeError::kind) {
        return Some(error);
    }
    None
}

/// Whether no answer arrived, by `cause`.
fn is_unanswered(cause: &(dyn StdError + 'static)) -> bool {
    cause.is::<RequestError>()
        || cause.is::<async_nats::RequestError>()
        || cause.is::<async_nats::SubscribeError>()
        || cause.is::<PublishError>()
        || kind(cause, UpdateError::kind) == Some(UpdateErrorKind::TimedOut)
        || kind(cause, ConsumerError::kind) == Some(ConsumerErrorKind::TimedOut)
        || kind(cause, CreateStreamError::kind) == Some(CreateStreamErrorKind::TimedOut)
        || kind(cause, PurgeError::kind) == Some(PurgeErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u64) -> jetstream::Error {
        let json = serde_json::json!({"code": 400, "err_code": code, "description": "no"});
        serde_json::from_value(json).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn answer_of_jetstream_is_storage_error() {
        for code in [10071, 10164] {
            let error = PublishError::with_source(PublishErrorKind::Other, answered(code));
            let error = StoreError::new(UpdateError::with_source(UpdateErrorKind::Other, error));
            assert!(error.is_wrong_revision(), "{error}");
            assert_eq!(error.code(), ErrorCode::StorageError);
            assert!(error.to_string().contains("no (code 400"), "{error}");
        }
        let missing = GetStreamError::new(GetStreamErrorKind::JetStream(answered(10059)));
        let missing = StoreError::new(missing);
        assert!(missing.is_bucket_missing() && !missing.is_too_large());
        let disabled = StoreError::new(RequestError::new(ApiRequestErrorKind::NoResponders));
        assert!(disabled.is_without_jetstream());
        assert_eq!(disabled.code(), ErrorCode::StorageError);
        assert_eq!(StoreError::new("malformed").code(), ErrorCode::StorageError);
    }

    #[test]
    fn missing_answer_is_connection_failed() {
        for error in [
            StoreError::new(UpdateError::new(UpdateErrorKind::TimedOut)),
            StoreError::new(PublishError::new(PublishErrorKind::BrokenPipe)),
            StoreError::new(RequestError::with_source(
                ApiRequestErrorKind::Other,
                async_nats::RequestError::new(RequestErrorKind::Other),
            )),
        ] {
            assert_eq!(error.code(), ErrorCode::ConnectionFailed, "{error}");
        }
    }
}
