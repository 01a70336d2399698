//! The values of a bucket: reading and writing one.
//!
//! They are asked for like agents are, through the publisher: so those of many tasks leave together, and what
//! a task writes arrives behind what it has published before.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_ROLLUP};
use async_nats::jetstream::kv::{Entry, Operation, Store};
use async_nats::jetstream::{self, ErrorCode as ApiErrorCode};
use async_nats::{HeaderMap, HeaderValue, Message, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

use super::Bucket;
use crate::error::{BoxError, Error, Result};
use crate::transport::Connection;

/// The headers by which a message is the mark of a value that is gone: a client's, and the server's.
pub(crate) const OPERATION: &str = "KV-Operation";
pub(crate) const MARKER: &str = "Nats-Marker-Reason";

/// What an operation is called that leaves a value.
pub(crate) const PUT: &str = "PUT";

/// What is under a key.
pub(crate) struct Stored {
    /// The value; `None` where the mark of one that is gone stands in its place.
    pub(crate) value: Option<Bytes>,
    pub(crate) revision: u64,
    pub(crate) created: OffsetDateTime,
}

/// How a key is written.
#[derive(Clone)]
pub(crate) enum Change {
    /// A value, whatever was there.
    Put(Bytes),
    /// A value, if the last write of the key is the one with this revision; 0 if there must be none.
    Update(Bytes, u64),
    /// The mark of a value that is gone.
    Delete,
    /// The same, and nothing more of what was there before.
    Purge,
}

/// Why the server did not do it.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// It says so.
    Api(jetstream::Error),
    /// Nobody stores what is under this key: the bucket is gone.
    Nobody,
    /// It could not be asked, or its answer not be understood.
    Failed(BoxError),
}

impl StoreError {
    /// Whether somebody else wrote the key meanwhile.
    pub(crate) fn is_wrong_revision(&self) -> bool {
        matches!(self, Self::Api(error) if matches!(
            error.error_code(),
            ApiErrorCode::STREAM_WRONG_LAST_SEQUENCE
                | ApiErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
        ))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => write!(f, "the server says: {error}"),
            Self::Nobody => f.write_str("the server has no such bucket"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Api(error) => Some(error),
            Self::Nobody => None,
            Self::Failed(error) => Some(&**error),
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Bucket {
    /// What is under `key`, if anything ever was.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the server does not answer or cannot read it.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Stored>> {
        let read = |store: Arc<Store>| async move {
            // Whoever made such a bucket has chosen that every server with a copy may answer.
            if store.stream.cached_info().config.allow_direct {
                let entry = store.entry(key).await;
                let entry = entry.map_err(|error| StoreError::Failed(error.into()))?;
                return Ok(entry.map(Stored::from));
            }
            last(self.connection(), &store, key).await
        };
        self.try_with("read", read).await
    }

    /// Writes `key`, and returns the revision that it has now. The inner error says why not.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with).
    pub(crate) async fn write(&self, key: &str, change: Change) -> Result<Result<u64, StoreError>> {
        let write = |store: Arc<Store>| {
            let change = change.clone();
            async move {
                // It is never closed.
                let _place = self.writing.acquire().await;
                write(self.connection(), &store, key, change).await
            }
        };
        self.with(write).await
    }

    /// As [`write`](Self::write), where every refusal is a failure.
    pub(crate) async fn try_write(&self, key: &str, change: Change) -> Result<u64> {
        let written = self.write(key, change).await?;
        written.map_err(|error| self.failed("write", error))
    }
}

impl From<Entry> for Stored {
    fn from(entry: Entry) -> Self {
        let is_value = entry.operation == Operation::Put;
        Self {
            value: is_value.then_some(entry.value),
            revision: entry.revision,
            created: entry.created,
        }
    }
}

async fn write(
    connection: &Connection,
    store: &Store,
    key: &str,
    change: Change,
) -> Result<u64, StoreError> {
    #[derive(Deserialize)]
    struct Acknowledgement {
        #[serde(default)]
        seq: u64,
        error: Option<jetstream::Error>,
    }

    let mut headers = HeaderMap::new();
    let value = match change {
        Change::Put(value) => value,
        Change::Update(value, revision) => {
            let revision = HeaderValue::from(revision);
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision);
            value
        }
        Change::Delete => {
            headers.insert(OPERATION, "DEL");
            Bytes::new()
        }
        Change::Purge => {
            headers.insert(OPERATION, "PURGE");
            headers.insert(NATS_ROLLUP, "sub");
            Bytes::new()
        }
    };
    // A mirror writes to what it is one of.
    let prefix = store.put_prefix.as_ref().unwrap_or(&store.prefix);
    let answer = connection
        .inbox
        .request([prefix, key].concat(), headers, value)
        .await?;
    let answer: Acknowledgement = understood(&answer)?;
    match answer.error {
        Some(error) => Err(StoreError::Api(error)),
        None => Ok(answer.seq),
    }
}

/// The last message of a key, as the server that writes the bucket has it.
async fn last(
    connection: &Connection,
    store: &Store,
    key: &str,
) -> Result<Option<Stored>, StoreError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        message: Option<Raw<'a>>,
        error: Option<jetstream::Error>,
    }

    #[derive(Deserialize)]
    struct Raw<'a> {
        seq: u64,
        #[serde(default)]
        data: &'a str,
        hdrs: Option<&'a str>,
        #[serde(with = "time::serde::rfc3339")]
        time: OffsetDateTime,
    }

    let subject = ["$JS.API.STREAM.MSG.GET.", &store.stream_name].concat();
    let last_of = [&store.prefix, key].concat();
    let body = json!({"last_by_subj": last_of}).to_string();
    let answer = connection
        .inbox
        .request(subject, HeaderMap::new(), body.into())
        .await?;
    let answer: Answer<'_> = understood(&answer)?;
    let raw = match (answer.message, answer.error) {
        (_, Some(error)) if error.error_code() == ApiErrorCode::NO_MESSAGE_FOUND => {
            return Ok(None);
        }
        (_, Some(error)) => return Err(StoreError::Api(error)),
        (None, None) => return Ok(None),
        (Some(raw), None) => raw,
    };
    let decoded = |text: &str| {
        let decoded = STANDARD.decode(text);
        decoded.map_err(|error| StoreError::Failed(error.into()))
    };
    let is_value = match raw.hdrs {
        Some(headers) => is_value(&String::from_utf8_lossy(&decoded(headers)?)),
        None => true,
    };
    Ok(Some(Stored {
        value: is_value
            .then(|| decoded(raw.data))
            .transpose()?
            .map(Bytes::from),
        revision: raw.seq,
        created: raw.time,
    }))
}

/// Whether these headers, as they are on the wire, are those of a value.
fn is_value(headers: &str) -> bool {
    headers.lines().all(|line| match line.split_once(':') {
        Some((OPERATION, operation)) => operation.trim() == PUT,
        Some((MARKER, _)) => false,
        _ => true,
    })
}

fn understood<'m, T: Deserialize<'m>>(answer: &'m Message) -> Result<T, StoreError> {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(StoreError::Nobody);
    }
    serde_json::from_slice(&answer.payload).map_err(|error| StoreError::Failed(error.into()))
}
