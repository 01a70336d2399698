//! Uploads of files.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::Stream;
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
use tokio::time::Instant;

use super::local_file::cannot_read;
use super::metadata::{
    CONTENT_TYPE, ObjectInfo, check_name, chunks_subject, digest_text, publish, purge_chunks,
};
use super::progress::{OnProgress, Progress};
use crate::error::Result;
use crate::store::{Access, ObjectBucket, SharedBucket};
use crate::transport::{DenialWatch, OutgoingBytes, too_large};
use crate::util::backoff::Backoff;
use crate::util::deferred::Deferred;

/// The size of a chunk, as in the published SDKs.
const CHUNK_BYTES: usize = 128 * 1024;
/// Upper bound of the space that a message takes in addition to its content, in bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 1024;
/// The maximum number of chunks that the server has not confirmed yet. An upload begins with one.
const MAX_IN_FLIGHT: usize = 16;
/// The number of chunks in flight is doubled after a chunk that took less than this. Chunks in flight occupy the
/// connection: other requests wait for them.
const FAST_CHUNK: Duration = Duration::from_secs(2);
/// The number of chunks in flight is halved after a chunk that took longer.
const SLOW_CHUNK: Duration = Duration::from_secs(4);
/// The longest wait for the confirmation of one chunk on a connection that is not lost.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest wait for the confirmation of a chunk that was sent before the connection was lost.
const LOST_CHUNK_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit of the wait for a server of a cluster to learn of a new bucket, and the bounds of the back-off.
const NEW_BUCKET_TIMEOUT: Duration = Duration::from_secs(10);
const MIN_RETRY_DELAY: Duration = Duration::from_millis(20);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);
/// The interval at which the state of the connection is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// An upload. A future: the upload starts when it is first polled. Returned by [`Workspace::put`](super::Workspace::put),
/// [`put_reader`](super::Workspace::put_reader) and [`put_file`](super::Workspace::put_file). Awaiting it
/// returns the metadata of the file, with the time of this process's clock;
/// [`Workspace::info`](super::Workspace::info) has the server's.
///
/// Downloads get the previous version until the new one is complete.
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invalid_input` when the name is invalid;
/// * `io_error` when the local file or the reader fails;
/// * `payload_too_large`, before anything is sent, when the metadata exceeds the server's limit;
/// * `connection_failed` when the server does not answer;
/// * `storage_error` when the server refuses the file, for example because the bucket is full.
///
/// On error the previous version is unchanged. Exception: if the connection is lost while the new version
/// is being committed, either version may be current.
///
/// # Cancel safety
///
/// Dropping the future ends the upload, and removes its chunks in the background. Once all chunks are
/// stored, the new version is committed in any case.
#[must_use = "an upload starts when it is awaited"]
pub struct Upload<'s>(Deferred<'s, Parts<'s>, Result<ObjectInfo>>);

struct Parts<'s> {
    bucket: SharedBucket<ObjectBucket>,
    source: Source<'s>,
    meta: ObjectMeta,
    on_progress: Option<OnProgress<'s>>,
}

/// The source of the content.
pub(super) enum Source<'s> {
    Bytes(Bytes),
    Reader(Box<dyn AsyncRead + Send + Unpin + 's>),
    File(PathBuf),
}

impl<'s> Upload<'s> {
    pub(super) fn new(bucket: &SharedBucket<ObjectBucket>, name: &str, source: Source<'s>) -> Self {
        let parts = Parts {
            bucket: bucket.clone(),
            source,
            meta: ObjectMeta {
                name: name.to_owned(),
                bucket: bucket::ARTIFACTS.to_owned(),
                ..ObjectMeta::default()
            },
            on_progress: None,
        };
        Self(Deferred::new(parts, |parts| parts.run().boxed()))
    }

    /// Sets the content type, such as `application/pdf`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.0.change(|parts| {
            let headers = &mut parts.meta.headers;
            headers.insert(CONTENT_TYPE.to_owned(), vec![content_type.into()]);
        });
        self
    }

    /// Sets the description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.0
            .change(|parts| parts.meta.description = Some(description.into()));
        self
    }

    /// Adds metadata under a name of your choice.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.change(|parts| {
            parts.meta.metadata.insert(name.into(), value.into());
        });
        self
    }

    /// Calls `function` after each chunk that the server has stored.
    pub fn on_progress<'q>(self, function: impl FnMut(Progress) + Send + 'q) -> Upload<'q>
    where
        's: 'q,
    {
        let parts = self.0.into_parts().map(|parts| Parts {
            bucket: parts.bucket,
            source: parts.source,
            meta: parts.meta,
            on_progress: Some(Box::new(function)),
        });
        Upload(Deferred::of(parts, |parts| parts.run().boxed()))
    }
}

impl<'s> Parts<'s> {
    /// Refuses metadata that exceeds the server's limit, before anything is sent.
    fn check_metadata(&self) -> Result<()> {
        let limit = self.bucket.connection().max_payload();
        let json = serde_json::to_vec(&self.meta);
        let json = json.map_err(|error| self.bucket.failed("write", error))?;
        let size = json.len() + MESSAGE_OVERHEAD_BYTES;
        if size > limit {
            let what = format!("the metadata of file '{}'", self.meta.name);
            return Err(too_large(&what, size, limit));
        }
        Ok(())
    }

    async fn run(mut self) -> Result<ObjectInfo> {
        check_name(&self.meta.name)?;
        self.check_metadata()?;
        let (mut reader, total): (Box<dyn AsyncRead + Send + Unpin>, _) = match self.source {
            Source::Reader(reader) => (reader, None),
            Source::Bytes(bytes) => {
                let total = bytes.len() as u64;
                (Box::new(std::io::Cursor::new(bytes)), Some(total))
            }
            Source::File(path) => {
                let cannot_read = |error| cannot_read(&path.display().to_string(), error);
                let file = tokio::fs::File::open(&path).await.map_err(cannot_read)?;
                let length = file.metadata().await.map_err(cannot_read)?.len();
                (Box::new(file), Some(length))
            }
        };
        let mut transfer = Transfer::start(self.bucket.clone(), total, self.on_progress).await?;
        loop {
            let chunk = read_chunk(&mut *reader, transfer.chunk_size).await;
            let chunk = chunk.map_err(|error| {
                cannot_read(&format!("the content of file '{}'", self.meta.name), error)
            })?;
            if chunk.is_empty() {
                break;
            }
            transfer.send(chunk).await?;
        }
        transfer.commit(&mut self.meta).await
    }
}

impl Future for Upload<'_> {
    type Output = Result<ObjectInfo>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// A started upload. If it is dropped before the commit, its chunks are removed.
struct Transfer<'s> {
    bucket: SharedBucket<ObjectBucket>,
    nuid: String,
    chunk_size: usize,
    in_flight: VecDeque<InFlight>,
    /// The first chunk of an upload to a cluster, until it is confirmed.
    first: Option<FirstChunk>,
    max_in_flight: usize,
    /// The server's denial of a chunk.
    denied: DenialWatch,
    digest: digest::Context,
    chunks: u64,
    progress: Progress,
    size: u64,
    on_progress: Option<OnProgress<'s>>,
    /// Runs the removal of chunks, also when the value is dropped outside of a runtime.
    runtime: Handle,
    /// Whether the commit has started: then it owns the chunks.
    is_committing: bool,
    /// The creation time of the bucket at the start.
    created: OffsetDateTime,
}

/// The first chunk, for a server that does not know the bucket yet.
struct FirstChunk {
    content: Bytes,
    backoff: Backoff,
    until: Instant,
}

/// A chunk that the server has not confirmed yet.
struct InFlight {
    bytes: usize,
    confirmation: BoxFuture<'static, Result<PublishAck, PublishError>>,
    sent: Instant,
    /// The time that the upload has waited for this confirmation, and the part of it after a loss of the connection.
    waited: Duration,
    lost: Duration,
    /// The connection's count of reconnections at that time.
    reconnections: u64,
    _outgoing: OutgoingBytes,
}

impl<'s> Transfer<'s> {
    async fn start(
        bucket: SharedBucket<ObjectBucket>,
        total: Option<u64>,
        on_progress: Option<OnProgress<'s>>,
    ) -> Result<Self> {
        let created = created(&bucket).await?;
        let room = bucket
            .connection()
            .max_payload()
            .saturating_sub(MESSAGE_OVERHEAD_BYTES);
        let nuid = RequestId::random().to_string();
        let denied = bucket.watch_denials(Access::Write {
            subject: chunks_subject(&nuid),
            bytes: 0,
            is_repeatable: false,
        });
        Ok(Self {
            bucket,
            nuid,
            max_in_flight: 1,
            denied,
            chunk_size: CHUNK_BYTES.min(room.max(1)),
            in_flight: VecDeque::with_capacity(MAX_IN_FLIGHT),
            first: None,
            digest: digest::Context::new(&digest::SHA256),
            chunks: 0,
            progress: Progress { bytes: 0, total },
            size: 0,
            on_progress,
            runtime: Handle::current(),
            is_committing: false,
            created,
        })
    }

    async fn send(&mut self, chunk: Bytes) -> Result<()> {
        self.digest.update(&chunk);
        self.chunks += 1;
        self.size += chunk.len() as u64;
        while !self.has_room() {
            self.await_confirmation().await?;
        }
        if self.chunks == 1 && self.bucket.connection().is_clustered() {
            self.first = Some(FirstChunk {
                content: chunk.clone(),
                backoff: Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY),
                until: Instant::now() + NEW_BUCKET_TIMEOUT,
            });
        }
        self.publish_chunk(chunk).await
    }

    async fn publish_chunk(&mut self, chunk: Bytes) -> Result<()> {
        let bytes = chunk.len();
        let jetstream = self.bucket.jetstream();
        let outgoing = self.bucket.connection().count_outgoing(bytes);
        let sent = jetstream.publish(chunks_subject(&self.nuid), chunk).await;
        let confirmation = sent.map_err(|error| self.bucket.failed("write", error))?;
        self.in_flight.push_back(InFlight {
            bytes,
            confirmation: confirmation.into_future(),
            sent: Instant::now(),
            waited: Duration::ZERO,
            lost: Duration::ZERO,
            reconnections: self.bucket.connection().reconnections(),
            _outgoing: outgoing,
        });
        Ok(())
    }

    /// Whether a further chunk may be sent. A lost connection says nothing about the speed of the link.
    fn has_room(&self) -> bool {
        let in_flight = self.in_flight.len();
        in_flight < self.max_in_flight
            || (in_flight < MAX_IN_FLIGHT && !self.bucket.connection().is_up())
    }

    /// Waits until the server has stored the oldest chunk in flight, for at most [`CHECK_INTERVAL`].
    ///
    /// # Errors
    ///
    /// Those of the server, and `connection_failed` when there was no progress for too long.
    async fn await_confirmation(&mut self) -> Result<()> {
        let Some(oldest) = self.in_flight.front_mut() else {
            return Ok(());
        };
        let (confirmed, is_waiting) = match (&mut oldest.confirmation).now_or_never() {
            Some(confirmed) => (confirmed, false),
            None => tokio::select! {
                biased;
                confirmed = &mut oldest.confirmation => (confirmed, true),
                error = self.denied.denied() => return Err(error),
                () = tokio::time::sleep(CHECK_INTERVAL) => return self.check_progress(),
            },
        };
        let (bytes, took) = (oldest.bytes, oldest.sent.elapsed());
        self.in_flight.pop_front();
        if let Err(error) = confirmed {
            return self.repeat_first(error).await;
        }
        self.first = None;
        // Without a wait, the source of the content is slower than the link.
        self.adapt(if is_waiting { took } else { Duration::ZERO });
        self.progress.bytes += bytes as u64;
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(self.progress);
        }
        Ok(())
    }

    /// Sends the first chunk again after the answer `error`, if a server may know the bucket soon: in a cluster, servers
    /// learn of a new bucket one after another.
    async fn repeat_first(&mut self, error: PublishError) -> Result<()> {
        if let Some(first) = &mut self.first
            && self.in_flight.is_empty()
            && error.kind() == PublishErrorKind::StreamNotFound
            && Instant::now() < first.until
        {
            let content = first.content.clone();
            tokio::time::sleep(first.backoff.next_delay()).await;
            return self.publish_chunk(content).await;
        }
        Err(self.bucket.failed("write", error))
    }

    /// Counts a wait of [`CHECK_INTERVAL`] for the oldest chunk in flight.
    fn check_progress(&mut self) -> Result<()> {
        let Some(oldest) = self.in_flight.front_mut() else {
            return Ok(());
        };
        let connection = self.bucket.connection();
        oldest.waited += CHECK_INTERVAL;
        if !connection.is_up() || connection.reconnections() != oldest.reconnections {
            oldest.lost += CHECK_INTERVAL;
        }
        if oldest.waited < CHUNK_TIMEOUT && oldest.lost < LOST_CHUNK_TIMEOUT {
            return Ok(());
        }
        let reason = "the server does not confirm a chunk";
        Err(self.bucket.no_answer("write", reason))
    }

    /// Adapts to the speed of the link: a chunk took `took` from its publish to its confirmation.
    fn adapt(&mut self, took: Duration) {
        if took < FAST_CHUNK {
            self.max_in_flight = (self.max_in_flight * 2).min(MAX_IN_FLIGHT);
        } else if took > SLOW_CHUNK {
            self.max_in_flight = (self.max_in_flight / 2).max(1);
        }
    }

    /// Makes the uploaded chunks the current version of the file.
    async fn commit(mut self, meta: &mut ObjectMeta) -> Result<ObjectInfo> {
        while !self.in_flight.is_empty() {
            self.await_confirmation().await?;
        }
        if self.chunks > 0 && created(&self.bucket).await? != self.created {
            let reason = "the bucket was deleted during the upload; upload the file again";
            return Err(self.bucket.failed("write", reason));
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
        // In a task, because a dropped future must not leave it unknown whether the chunks are in use.
        self.is_committing = true;
        let (bucket, metadata) = (self.bucket.clone(), meta.clone());
        let publishing = async move {
            let published = publish(&bucket, &metadata).await;
            if let Err(unpublished) = &published
                && !unpublished.may_be_current
            {
                remove(&bucket, &metadata.nuid).await;
            }
            published.map_err(|unpublished| unpublished.error)
        };
        match tokio::spawn(publishing).await {
            Ok(published) => published?,
            Err(error) => return Err(self.bucket.failed("write", error)),
        }
        Ok(ObjectInfo::new(meta.clone(), now))
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        if self.is_committing || self.chunks == 0 {
            return;
        }
        let (bucket, nuid) = (self.bucket.clone(), std::mem::take(&mut self.nuid));
        let in_flight = std::mem::take(&mut self.in_flight);
        self.runtime.spawn(async move {
            // A chunk that is stored after the removal would stay.
            for chunk in in_flight {
                drop(tokio::time::timeout(LOST_CHUNK_TIMEOUT, chunk.confirmation).await);
            }
            remove(&bucket, &nuid).await;
        });
    }
}

/// The creation time of the bucket, which is created if it is missing.
async fn created(bucket: &ObjectBucket) -> Result<OffsetDateTime> {
    let info = |stream: Arc<Stream>| async move { stream.get_info().await };
    Ok(bucket.try_with("write", Access::Open, info).await?.created)
}

async fn remove(bucket: &ObjectBucket, nuid: &str) {
    match purge_chunks(bucket, nuid).await {
        Ok(()) => {}
        // A user who may not remove chunks may not store them either.
        Err(error) if error.code() == &ErrorCode::ConnectionDenied => {
            tracing::debug!(%error, "chunks of an aborted upload are not removed");
        }
        Err(error) => tracing::warn!(%error, "chunks of an aborted upload stay stored"),
    }
}

/// The next `size` bytes, or the remaining ones; empty at the end.
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
