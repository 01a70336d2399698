//! Writing an object.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::path::PathBuf;

use async_nats::jetstream::context::PublishAckFuture;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::object::{ObjectMeta, ObjectOptions};
use openagentmesh_protocol::{ErrorCode, RequestId, bucket};
use ring::digest;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;

use super::metadata::{
    CONTENT_TYPE, check_name, chunks_subject, digest_text, publish, purge_chunks,
};
use super::{ObjectInfo, Progress, Workspace};
use crate::error::{Error, Result};
use crate::store::{ObjectBucket, SharedBucket};
use crate::transport::too_large;

/// How large a chunk is, in bytes, as the published SDKs cut.
const CHUNK: usize = 128 * 1024;
/// What a chunk needs beside itself in a message, in bytes.
const HEADERS: usize = 1024;
/// How many chunks may be on their way at once.
const IN_FLIGHT: usize = 16;

/// An upload that begins when it is awaited, and gives what is then known of the file; made by
/// [`Workspace::put`] and its kin.
///
/// Readers of the file get the version before it until all of the new one is there. When it was written
/// is told by this process's clock; [`Workspace::info`] tells it by the server's.
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invalid_input` when no file can have this name, or its content cannot be read from where it is;
/// * `payload_too_large` before anything is sent, when what is said of it does not fit the server;
/// * `connection_failed` when the server does not answer or does not take it.
///
/// The version before stays as it was, then; unless the connection was lost in the very moment in which
/// the new one took its place.
///
/// # Cancel safety
///
/// Dropping the future ends the upload; what was sent of it is removed in the background. Once all of it
/// is stored, it takes its place all the same.
#[must_use = "an upload begins when it is awaited"]
pub struct Upload<'s> {
    bucket: SharedBucket<ObjectBucket>,
    source: Source<'s>,
    meta: ObjectMeta,
    on_progress: Option<OnProgress<'s>>,
}

type OnProgress<'s> = Box<dyn FnMut(Progress) + Send + 's>;

/// Where the content comes from.
pub(super) enum Source<'s> {
    Bytes(Bytes),
    Reader(Box<dyn AsyncRead + Send + Unpin + 's>),
    File(PathBuf),
}

impl<'s> Upload<'s> {
    pub(super) fn new(workspace: &Workspace, name: &str, source: Source<'s>) -> Self {
        Self {
            bucket: workspace.bucket.clone(),
            source,
            meta: ObjectMeta {
                name: name.to_owned(),
                bucket: bucket::ARTIFACTS.to_owned(),
                ..ObjectMeta::default()
            },
            on_progress: None,
        }
    }

    /// Says what the content is, such as `application/pdf`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        let headers = &mut self.meta.headers;
        headers.insert(CONTENT_TYPE.to_owned(), vec![content_type.into()]);
        self
    }

    /// Says in words what the file is.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.meta.description = Some(description.into());
        self
    }

    /// Says something else of the file, under a name of your choice.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.metadata.insert(name.into(), value.into());
        self
    }

    /// Calls `function` after each chunk that the server has stored.
    pub fn on_progress(mut self, function: impl FnMut(Progress) + Send + 's) -> Self {
        self.on_progress = Some(Box::new(function));
        self
    }

    /// Refuses a description that the server could not carry, before anything is sent.
    fn check_description(&self) -> Result<()> {
        let limit = self.bucket.connection().client.max_payload();
        let described = serde_json::to_vec(&self.meta);
        let described = described.map_err(|error| self.bucket.failed("write", error))?;
        let size = described.len() + HEADERS;
        if size > limit {
            let what = format!("the description of file '{}'", self.meta.name);
            return Err(too_large(&what, size, limit));
        }
        Ok(())
    }

    async fn run(mut self) -> Result<ObjectInfo> {
        check_name(&self.meta.name)?;
        self.check_description()?;
        let (mut reader, total): (Box<dyn AsyncRead + Send + Unpin>, _) = match self.source {
            Source::Reader(reader) => (reader, None),
            Source::Bytes(bytes) => {
                let total = bytes.len() as u64;
                (Box::new(std::io::Cursor::new(bytes)), Some(total))
            }
            Source::File(path) => {
                let unreadable = |error| unreadable(&path.display().to_string(), error);
                let file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
                let length = file.metadata().await.map_err(unreadable)?.len();
                (Box::new(file), Some(length))
            }
        };
        let mut sending = Sending::start(self.bucket.clone(), total, self.on_progress).await?;
        loop {
            let chunk = read_chunk(&mut *reader, sending.chunk_size).await;
            let chunk = chunk.map_err(|error| unreadable(&self.meta.name, error))?;
            if chunk.is_empty() {
                break;
            }
            sending.send(chunk).await?;
        }
        sending.finish(&mut self.meta).await
    }
}

impl<'s> IntoFuture for Upload<'s> {
    type Output = Result<ObjectInfo>;
    type IntoFuture = BoxFuture<'s, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// An upload on its way. Dropped before it is finished, it removes what it has sent.
struct Sending<'s> {
    bucket: SharedBucket<ObjectBucket>,
    nuid: String,
    chunk_size: usize,
    in_flight: VecDeque<(u64, PublishAckFuture)>,
    digest: digest::Context,
    chunks: u64,
    progress: Progress,
    size: u64,
    on_progress: Option<OnProgress<'s>>,
    /// Where what it sent is removed, wherever it is dropped.
    runtime: Handle,
    finished: bool,
}

impl<'s> Sending<'s> {
    async fn start(
        bucket: SharedBucket<ObjectBucket>,
        total: Option<u64>,
        on_progress: Option<OnProgress<'s>>,
    ) -> Result<Self> {
        // Made if nobody has.
        bucket.handle().await?;
        let room = bucket
            .connection()
            .client
            .max_payload()
            .saturating_sub(HEADERS);
        Ok(Self {
            bucket,
            nuid: RequestId::random().to_string(),
            chunk_size: CHUNK.min(room.max(1)),
            in_flight: VecDeque::with_capacity(IN_FLIGHT),
            digest: digest::Context::new(&digest::SHA256),
            chunks: 0,
            progress: Progress { bytes: 0, total },
            size: 0,
            on_progress,
            runtime: Handle::current(),
            finished: false,
        })
    }

    async fn send(&mut self, chunk: Bytes) -> Result<()> {
        self.digest.update(&chunk);
        self.chunks += 1;
        self.size += chunk.len() as u64;
        if self.in_flight.len() >= IN_FLIGHT {
            self.confirm_one().await?;
        }
        let length = chunk.len() as u64;
        let jetstream = &self.bucket.connection().jetstream;
        let sent = jetstream.publish(chunks_subject(&self.nuid), chunk).await;
        let sent = sent.map_err(|error| self.bucket.failed("write", error))?;
        self.in_flight.push_back((length, sent));
        Ok(())
    }

    /// Waits until the server has stored the first of the chunks that are on their way.
    async fn confirm_one(&mut self) -> Result<()> {
        let Some((length, sent)) = self.in_flight.pop_front() else {
            return Ok(());
        };
        sent.await
            .map_err(|error| self.bucket.failed("write", error))?;
        self.progress.bytes += length;
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(self.progress);
        }
        Ok(())
    }

    /// Makes the object what readers of its name get.
    async fn finish(mut self, meta: &mut ObjectMeta) -> Result<ObjectInfo> {
        while !self.in_flight.is_empty() {
            self.confirm_one().await?;
        }
        let now = OffsetDateTime::now_utc();
        meta.nuid.clone_from(&self.nuid);
        meta.size = self.size;
        meta.chunks = self.chunks;
        meta.digest = digest_text(self.digest.clone().finish().as_ref());
        meta.mtime = now.format(&Rfc3339).unwrap_or_default();
        meta.options = Some(ObjectOptions {
            max_chunk_size: Some(self.chunk_size as u64),
            link: None,
        });
        // From here on, nobody can say that it did not happen: it goes on though nobody waits.
        self.finished = true;
        let (bucket, described) = (self.bucket.clone(), meta.clone());
        let publishing = async move {
            let published = publish(&bucket, &described).await;
            if let Err(unpublished) = &published
                && !unpublished.may_be_read
            {
                remove(&bucket, &described.nuid).await;
            }
            published.map_err(|unpublished| unpublished.error)
        };
        match tokio::spawn(publishing).await {
            Ok(published) => published?,
            Err(error) => return Err(self.bucket.failed("write", error)),
        }
        Ok(ObjectInfo::of(meta.clone(), now))
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if self.finished || self.chunks == 0 {
            return;
        }
        let (bucket, nuid) = (self.bucket.clone(), std::mem::take(&mut self.nuid));
        let in_flight = std::mem::take(&mut self.in_flight);
        self.runtime.spawn(async move {
            // One that is stored later than this would stay.
            for (_, sent) in in_flight {
                drop(sent.await);
            }
            remove(&bucket, &nuid).await;
        });
    }
}

async fn remove(bucket: &ObjectBucket, nuid: &str) {
    if let Err(error) = purge_chunks(bucket, nuid).await {
        tracing::warn!(%error, "chunks of an upload that was given up stay stored");
    }
}

/// As many bytes as a chunk has, or what is left; none at the end.
async fn read_chunk(
    reader: &mut (dyn AsyncRead + Send + Unpin),
    size: usize,
) -> std::io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(size);
    while chunk.len() < size {
        let room = size - chunk.len();
        if (&mut *reader)
            .take(room as u64)
            .read_buf(&mut chunk)
            .await?
            == 0
        {
            break;
        }
    }
    Ok(chunk.freeze())
}

fn unreadable(what: &str, error: std::io::Error) -> Error {
    Error::raised(
        ErrorCode::InvalidInput,
        format!("what is to be put into the workspace cannot be read from {what}: {error}"),
    )
    .with_source(error)
}
