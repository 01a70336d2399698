//! The metadata of files: read, and replaced together with their chunks.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Stream;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use openagentmesh_protocol::bucket::ARTIFACTS;
use openagentmesh_protocol::object::ObjectMeta;
use openagentmesh_protocol::{ErrorCode, Subject};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::store::{Access, Find, Meaning, ObjectBucket};

/// The header of the content type in a file's metadata.
pub(super) const CONTENT_TYPE: &str = "Content-Type";

/// The longest name in bytes: its encoding fits into a subject.
const MAX_NAME_BYTES: usize = 2048;

/// The metadata of a file in the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// The time of the write, in UTC.
    pub modified: OffsetDateTime,
    /// SHA-256 of the content, in URL-safe base64; `None` if the writer set none.
    pub digest: Option<String>,
    /// The content type that the writer set, such as `text/plain`.
    pub content_type: Option<String>,
    /// The description that the writer set.
    pub description: Option<String>,
    /// The other metadata that the writer set.
    pub metadata: BTreeMap<String, String>,
}

impl ObjectInfo {
    /// The public form of `meta`, which was written at `modified`.
    pub(super) fn new(meta: ObjectMeta, modified: OffsetDateTime) -> Self {
        let mut headers = meta.headers.into_iter();
        let content_type = headers.find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
        let digest = meta.digest.strip_prefix(DIGEST_PREFIX).map(str::to_owned);
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

/// The prefix of a digest on the wire.
const DIGEST_PREFIX: &str = "SHA-256=";

/// A digest in its form on the wire.
pub(super) fn digest_text(digest: &[u8]) -> String {
    format!("{DIGEST_PREFIX}{}", URL_SAFE.encode(digest))
}

/// # Errors
///
/// `invalid_input` when the name is invalid.
pub(super) fn check_name(name: &str) -> Result<()> {
    let reason = match name.len() {
        0 => "must not be empty",
        1..=MAX_NAME_BYTES => return Ok(()),
        _ => "must not be longer than 2048 bytes",
    };
    let shown: String = name.chars().take(40).collect();
    Err(Error::raised(
        ErrorCode::InvalidInput,
        format!("invalid file name '{shown}': {reason}"),
    ))
}

/// The subject of the metadata of all files.
pub(super) fn all_objects() -> String {
    format!("$O.{ARTIFACTS}.M.>")
}

/// The subject of a file's chunks.
pub(super) fn chunks_subject(nuid: &str) -> String {
    Subject::ObjectChunk(nuid.to_owned()).to_string()
}

/// The last metadata of a name, and its sequence for the next compare-and-swap; 0 if it was never written.
pub(super) struct Version {
    name: String,
    subject: String,
    sequence: u64,
    written: Written,
}

enum Written {
    Never,
    Meta(Box<ObjectMeta>, OffsetDateTime),
    /// Metadata that cannot be parsed, with the reason.
    Malformed(String),
}

/// The subject of the metadata of file `name`.
pub(super) fn subject(name: &str) -> String {
    Subject::ObjectMeta(URL_SAFE.encode(name)).to_string()
}

impl Version {
    pub(super) async fn read(bucket: &ObjectBucket, name: &str) -> Result<Self> {
        check_name(name)?;
        let subject = subject(name);
        let last = bucket.message("read", Find::Last(&subject)).await?;
        let sequence = last.as_ref().map_or(0, |message| message.sequence);
        let written = match last {
            None => Written::Never,
            Some(message) => match (message.meaning, serde_json::from_slice(&message.payload)) {
                (Meaning::Malformed(reason), _) => Written::Malformed(reason.to_owned()),
                (_, Ok(ObjectMeta { name: other, .. })) if other != name => {
                    Written::Malformed(format!("it is that of the file '{other}'"))
                }
                (_, Ok(meta)) => Written::Meta(Box::new(meta), message.published),
                (_, Err(error)) => Written::Malformed(error.to_string()),
            },
        };
        Ok(Self {
            name: name.to_owned(),
            subject,
            sequence,
            written,
        })
    }

    /// The metadata and the time of its write; `None` if the file does not exist or is deleted.
    ///
    /// # Errors
    ///
    /// `storage_error` when the metadata is malformed.
    pub(super) fn meta(&self) -> Result<Option<(&ObjectMeta, OffsetDateTime)>> {
        match &self.written {
            Written::Never => Ok(None),
            Written::Meta(meta, modified) => Ok((!meta.deleted).then_some((meta, *modified))),
            Written::Malformed(reason) => Err(Error::raised(
                ErrorCode::StorageError,
                format!(
                    "the metadata of file '{}' is malformed ({reason}): put() or delete() replaces it",
                    self.name
                ),
            )),
        }
    }

    /// Whether the file exists, with valid metadata or not.
    pub(super) fn exists(&self) -> bool {
        match &self.written {
            Written::Never => false,
            Written::Meta(meta, _) => !meta.deleted,
            Written::Malformed(_) => true,
        }
    }

    /// The identifier of its chunks.
    fn nuid(&self) -> &str {
        match &self.written {
            Written::Meta(meta, _) => &meta.nuid,
            Written::Never | Written::Malformed(_) => "",
        }
    }

    /// Replaces it with `json`; `false` if another process was faster.
    async fn replace(&self, bucket: &ObjectBucket, json: Bytes) -> Result<bool> {
        let id = bucket.connection().write_id();
        let access = Access::Write {
            subject: self.subject.clone(),
            bytes: json.len(),
            is_repeatable: id.is_some(),
        };
        let write = |_: Arc<Stream>| {
            let mut message = PublishMessage::build()
                .payload(json.clone())
                .header(NATS_ROLLUP, "sub")
                .expected_last_subject_sequence(self.sequence);
            if let Some(id) = &id {
                message = message.message_id(id);
            }
            let subject = self.subject.clone();
            let jetstream = bucket.jetstream();
            async move { jetstream.send_publish(subject, message).await?.await }
        };
        match bucket.with(access, write).await? {
            Ok(_) => Ok(true),
            Err(error) if error.is_wrong_revision() => Ok(false),
            Err(error) => Err(error.into_error("write", bucket.name())),
        }
    }
}

/// The failure to replace metadata.
pub(super) struct Unpublished {
    pub(super) error: Error,
    /// Whether the new metadata may be current, so that its chunks must stay.
    pub(super) may_be_current: bool,
}

/// Replaces the metadata of a file with `meta`, and removes the chunks of the previous version.
pub(super) async fn publish(bucket: &ObjectBucket, meta: &ObjectMeta) -> Result<(), Unpublished> {
    let unpublished = |error, may_be_current| Unpublished {
        error,
        may_be_current,
    };
    let json = serde_json::to_vec(meta);
    let json = json.map_err(|error| unpublished(bucket.failed("write", error), false))?;
    let json = Bytes::from(json);
    let before = loop {
        let before = Version::read(bucket, &meta.name).await;
        let before = before.map_err(|error| unpublished(error, false))?;
        match before.replace(bucket, json.clone()).await {
            Ok(true) => break before,
            Ok(false) => {}
            // The write may have been done, and only its answer lost.
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
        tracing::warn!(name = meta.name, %error, "unused chunks stay stored");
    }
    Ok(())
}

/// Marks the file as deleted, and removes its chunks; `false` if it does not exist.
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

/// Whether `nuid` is a valid identifier of chunks: it must match no other subject than its own.
pub(super) fn is_nuid(nuid: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !nuid.is_empty() && nuid.chars().all(is_allowed)
}

/// Removes the chunks of a version that is not current. A user who may not purge replaces them by an empty message.
pub(super) async fn purge_chunks(bucket: &ObjectBucket, nuid: &str) -> Result<()> {
    const PURGE: &str = "STREAM.PURGE";
    if !is_nuid(nuid) {
        return Ok(());
    }
    if !bucket.is_request_denied(PURGE) {
        let purge =
            |stream: Arc<Stream>| async move { stream.purge().filter(chunks_subject(nuid)).await };
        match bucket.try_with("write", Access::Purge, purge).await {
            Err(error) if bucket.is_request_denied(PURGE) => {
                tracing::debug!(%error, "chunks are replaced");
            }
            purged => return purged.map(drop),
        }
    }
    let access = Access::Write {
        subject: chunks_subject(nuid),
        bytes: 0,
        is_repeatable: true,
    };
    let replace = |_: Arc<Stream>| {
        let message = PublishMessage::build().header(NATS_ROLLUP, "sub");
        let jetstream = bucket.jetstream();
        async move {
            let sent = jetstream.send_publish(chunks_subject(nuid), message);
            sent.await?.await
        }
    };
    bucket.try_with("write", access, replace).await.map(drop)
}
