//! What is known of an object: reading it, and replacing it without losing track of chunks.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use openagentmesh_protocol::bucket::ARTIFACTS;
use openagentmesh_protocol::object::ObjectMeta;
use openagentmesh_protocol::{ErrorCode, Subject};
use time::OffsetDateTime;

use super::ObjectBucket;
use crate::error::{Error, Result};
use crate::store::failed;

/// The header under which an object has its content type.
pub(super) const CONTENT_TYPE: &str = "Content-Type";

/// The longest name in bytes: with its encoding, a subject still has room for it.
const LONGEST_NAME: usize = 2048;

/// What is known of a file in the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// When it was written, in UTC.
    pub modified: OffsetDateTime,
    /// SHA-256 of what is in it, in URL-safe base64; `None` where its writer gave none.
    pub digest: Option<String>,
    /// What its writer says it is, such as `text/plain`.
    pub content_type: Option<String>,
    /// What its writer says of it in words.
    pub description: Option<String>,
    /// Whatever else its writer says of it.
    pub metadata: BTreeMap<String, String>,
}

impl ObjectInfo {
    /// What a description says that was written at `modified`.
    pub(super) fn of(meta: ObjectMeta, modified: OffsetDateTime) -> Self {
        let mut headers = meta.headers.into_iter();
        let content_type = headers.find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
        let digest = meta.digest.strip_prefix(DIGEST).map(str::to_owned);
        Self {
            name: meta.name,
            size: meta.size,
            modified,
            digest,
            content_type: content_type.and_then(|(_, values)| values.into_iter().next()),
            description: meta.description,
            metadata: meta.metadata,
        }
    }
}

/// What a digest begins with on the wire.
pub(super) const DIGEST: &str = "SHA-256=";

/// A digest as it stands on the wire.
pub(super) fn digest_text(digest: &[u8]) -> String {
    format!("{DIGEST}{}", URL_SAFE.encode(digest))
}

/// # Errors
///
/// `invalid_input` when no object can have this name.
pub(super) fn check_name(name: &str) -> Result<()> {
    let reason = match name.len() {
        0 => "it is empty",
        1..=LONGEST_NAME => return Ok(()),
        _ => "it is longer than 2048 bytes",
    };
    let shown: String = name.chars().take(40).collect();
    Err(Error::raised(
        ErrorCode::InvalidInput,
        format!("'{shown}' cannot be the name of a file: {reason}"),
    ))
}

/// The subject of the descriptions of all objects.
pub(super) fn all_objects() -> String {
    format!("$O.{ARTIFACTS}.M.>")
}

/// The subject of an object's chunks.
pub(super) fn chunks_subject(nuid: &str) -> String {
    Subject::ObjectChunk(nuid.to_owned()).to_string()
}

/// The last message of `subject`, if there is one.
pub(super) async fn last_message(
    bucket: &ObjectBucket,
    subject: &str,
) -> Result<Option<StreamMessage>> {
    let last = |stream: Arc<Stream>| async move {
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    bucket.try_with("read", last).await
}

/// The last description of a name, and the number that the next one expects: 0 where there never was
/// one.
pub(super) struct Version {
    name: String,
    subject: String,
    sequence: u64,
    written: Written,
}

enum Written {
    Never,
    Meta(Box<ObjectMeta>, OffsetDateTime),
    /// By somebody who writes descriptions of another kind; this is what is wrong with it.
    Malformed(String),
}

impl Version {
    pub(super) async fn read(bucket: &ObjectBucket, name: &str) -> Result<Self> {
        check_name(name)?;
        let subject = Subject::ObjectMeta(URL_SAFE.encode(name)).to_string();
        let last = last_message(bucket, &subject).await?;
        let sequence = last.as_ref().map_or(0, |message| message.sequence);
        let written = match last {
            None => Written::Never,
            Some(message) => match serde_json::from_slice(&message.payload) {
                Ok(meta) => Written::Meta(Box::new(meta), message.time),
                Err(error) => Written::Malformed(error.to_string()),
            },
        };
        Ok(Self {
            name: name.to_owned(),
            subject,
            sequence,
            written,
        })
    }

    /// Its description with when it was written, unless there is none or it was deleted.
    ///
    /// # Errors
    ///
    /// `connection_failed` when it cannot be understood.
    pub(super) fn meta(&self) -> Result<Option<(&ObjectMeta, OffsetDateTime)>> {
        match &self.written {
            Written::Never => Ok(None),
            Written::Meta(meta, modified) => Ok((!meta.deleted).then_some((meta, *modified))),
            Written::Malformed(reason) => Err(failed(
                "read",
                ARTIFACTS,
                format!(
                    "the description of file '{}' is malformed ({reason}); put() or delete() \
                     replaces it",
                    self.name
                ),
            )),
        }
    }

    /// Whether there is something to be deleted.
    pub(super) fn exists(&self) -> bool {
        match &self.written {
            Written::Never => false,
            Written::Meta(meta, _) => !meta.deleted,
            Written::Malformed(_) => true,
        }
    }

    /// The identifier of the chunks that it has, or had.
    fn nuid(&self) -> &str {
        match &self.written {
            Written::Meta(meta, _) => &meta.nuid,
            Written::Never | Written::Malformed(_) => "",
        }
    }

    /// Puts `json` in its place; `false` when somebody else was faster.
    async fn replace(&self, bucket: &ObjectBucket, json: Bytes) -> Result<bool> {
        let write = |_: Arc<Stream>| {
            let message = PublishMessage::build()
                .payload(json.clone())
                .header(NATS_ROLLUP, "sub")
                .expected_last_subject_sequence(self.sequence);
            let subject = self.subject.clone();
            let jetstream = &bucket.connection().jetstream;
            async move { jetstream.send_publish(subject, message).await?.await }
        };
        match bucket.with(write).await? {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(false),
            Err(error) => Err(bucket.failed("write", error)),
        }
    }
}

/// Why a description was not put in the place of the one before.
pub(super) struct Unpublished {
    pub(super) error: Error,
    /// Whether it may have been, as far as is known: then its chunks are not to be touched.
    pub(super) may_be_read: bool,
}

/// Puts `meta` in the place of the description before, and that one's chunks away.
pub(super) async fn publish(bucket: &ObjectBucket, meta: &ObjectMeta) -> Result<(), Unpublished> {
    let unpublished = |error, may_be_read| Unpublished { error, may_be_read };
    let json = serde_json::to_vec(meta);
    let json = json.map_err(|error| unpublished(bucket.failed("write", error), false))?;
    let json = Bytes::from(json);
    let before = loop {
        let before = Version::read(bucket, &meta.name).await;
        let before = before.map_err(|error| unpublished(error, false))?;
        match before.replace(bucket, json.clone()).await {
            Ok(true) => break before,
            Ok(false) => {}
            // What was lost may have been the answer.
            Err(error) => match Version::read(bucket, &meta.name).await {
                Ok(now) if now.nuid() == meta.nuid && now.sequence > before.sequence => {
                    break before;
                }
                Ok(_) => return Err(unpublished(error, false)),
                Err(_) => return Err(unpublished(error, true)),
            },
        }
    };
    let replaced = before.nuid();
    // A deletion keeps the identifier of what it deletes.
    if (replaced != meta.nuid || meta.deleted)
        && let Err(error) = purge_chunks(bucket, replaced).await
    {
        tracing::warn!(name = meta.name, %error, "chunks that nobody reads any more stay stored");
    }
    Ok(())
}

/// Marks the file as deleted, and puts its chunks away; `false` when there is none.
pub(super) async fn delete(bucket: &ObjectBucket, name: &str) -> Result<bool> {
    let version = Version::read(bucket, name).await?;
    if !version.exists() {
        return Ok(false);
    }
    let tombstone = ObjectMeta {
        name: name.to_owned(),
        bucket: ARTIFACTS.to_owned(),
        nuid: version.nuid().to_owned(),
        deleted: true,
        ..ObjectMeta::default()
    };
    match publish(bucket, &tombstone).await {
        Ok(()) => Ok(true),
        Err(unpublished) => Err(unpublished.error),
    }
}

/// Whether chunks can have this identifier: it must name its own subject, and no other.
pub(super) fn is_nuid(nuid: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !nuid.is_empty() && nuid.chars().all(is_allowed)
}

/// Removes the chunks of an object that nobody can read any more.
pub(super) async fn purge_chunks(bucket: &ObjectBucket, nuid: &str) -> Result<()> {
    if !is_nuid(nuid) {
        return Ok(());
    }
    let purge =
        |stream: Arc<Stream>| async move { stream.purge().filter(chunks_subject(nuid)).await };
    bucket.try_with("write", purge).await?;
    Ok(())
}
