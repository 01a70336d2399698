//! What is known of an object: reading it, and replacing it without losing track of chunks.

use std::collections::BTreeMap;

use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use openagentmesh_protocol::bucket::ARTIFACTS;
use openagentmesh_protocol::object::ObjectMeta;
use openagentmesh_protocol::{ErrorCode, Subject};
use time::OffsetDateTime;

use super::ObjectBucket;
use crate::error::{Error, Result};

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

/// The last description of a name, and the number that the next one expects: 0 where there never was
/// one.
pub(super) struct Version {
    subject: String,
    sequence: u64,
    written: Option<(ObjectMeta, OffsetDateTime)>,
}

impl Version {
    pub(super) async fn read(bucket: &ObjectBucket, name: &str) -> Result<Self> {
        check_name(name)?;
        let subject = Subject::ObjectMeta(URL_SAFE.encode(name)).to_string();
        let last = |stream: Stream| {
            let subject = &subject;
            async move {
                match stream.get_last_raw_message_by_subject(subject).await {
                    Ok(message) => Ok(Some(message)),
                    Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let Some(message) = bucket.try_with("read", last).await? else {
            return Ok(Self {
                subject,
                sequence: 0,
                written: None,
            });
        };
        let meta = serde_json::from_slice(&message.payload).map_err(|error| {
            bucket.failed(
                "read",
                format!("the description of '{name}' is malformed: {error}"),
            )
        })?;
        Ok(Self {
            subject,
            sequence: message.sequence,
            written: Some((meta, message.time)),
        })
    }

    /// Its description, unless it was deleted.
    pub(super) fn meta(&self) -> Option<&ObjectMeta> {
        let (meta, _) = self.written.as_ref()?;
        (!meta.deleted).then_some(meta)
    }

    /// What is known of it, unless it was deleted.
    pub(super) fn object(&self) -> Option<ObjectInfo> {
        let (meta, modified) = self.written.as_ref()?;
        (!meta.deleted).then(|| ObjectInfo::of(meta.clone(), *modified))
    }

    /// Puts `meta` in its place, and its chunks away; `false` when somebody else was faster.
    pub(super) async fn replace(&self, bucket: &ObjectBucket, meta: &ObjectMeta) -> Result<bool> {
        let json = serde_json::to_vec(meta).map_err(|error| bucket.failed("write", error))?;
        let write = |_: Stream| {
            let message = PublishMessage::build()
                .payload(json.clone().into())
                .header(NATS_ROLLUP, "sub")
                .expected_last_subject_sequence(self.sequence);
            let subject = self.subject.clone();
            let jetstream = &bucket.connection().jetstream;
            async move { jetstream.send_publish(subject, message).await?.await }
        };
        match bucket.with(write).await? {
            Ok(_) => {}
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => return Ok(false),
            Err(error) => return Err(bucket.failed("write", error)),
        }
        if let Some(meta) = self.meta()
            && let Err(error) = purge_chunks(bucket, &meta.nuid).await
        {
            tracing::warn!(name = meta.name, %error, "chunks that nobody reads any more stay stored");
        }
        Ok(true)
    }

    /// Marks it as deleted, and puts its chunks away; `false` when somebody else wrote it meanwhile.
    pub(super) async fn delete(&self, bucket: &ObjectBucket) -> Result<bool> {
        let Some(meta) = self.meta() else {
            return Ok(true);
        };
        let tombstone = ObjectMeta {
            size: 0,
            chunks: 0,
            digest: String::new(),
            deleted: true,
            ..meta.clone()
        };
        self.replace(bucket, &tombstone).await
    }
}

/// Removes the chunks of an object that nobody can read any more.
pub(super) async fn purge_chunks(bucket: &ObjectBucket, nuid: &str) -> Result<()> {
    if nuid.is_empty() {
        return Ok(());
    }
    let purge = |stream: Stream| async move { stream.purge().filter(chunks_subject(nuid)).await };
    bucket.try_with("write", purge).await?;
    Ok(())
}
