//! Reading an object.

use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::stream::{ConsumerError, Stream as JetStream};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use openagentmesh_protocol::object::ObjectMeta;
use openagentmesh_protocol::{ErrorCode, RequestId};
use ring::digest;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::StreamReader;

use super::metadata::{self, Version, chunks_subject, digest_text, is_nuid};
use super::{ObjectInfo, Progress, Workspace};
use crate::error::{Error, Result};
use crate::store::{ObjectBucket, SharedBucket, forget};

/// How many bytes are asked for at once, give or take a chunk.
const BATCH: u64 = 4 * 1024 * 1024;
/// How large a chunk is taken to be where its writer does not say.
const CHUNK: u64 = 128 * 1024;
/// How long the next chunk may take until it is asked for again.
const NEXT: Duration = Duration::from_secs(5);
/// How long it is asked for again.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often in a row no chunk comes until they count as lost.
const ATTEMPTS: u32 = 3;
/// How long a reader may take between two batches until the server forgets it, which it survives.
const PAUSE: Duration = Duration::from_secs(10);

/// A download that begins when it is awaited, and gives all that is in the file; made by
/// [`Workspace::get`]. What does not fit into memory goes [to a file](Download::to_file), [to a
/// writer](Download::to_writer) or comes from a [reader](Download::reader).
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `not_found` when there is no such file;
/// * `digest_mismatch` when it is not what was written: it was damaged, or replaced meanwhile;
/// * `invalid_input` when no file can have this name;
/// * `connection_failed` when the server does not answer.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind.
#[must_use = "a download begins when it is awaited"]
pub struct Download<'p> {
    bucket: SharedBucket<ObjectBucket>,
    name: String,
    on_progress: Option<OnProgress<'p>>,
}

type OnProgress<'p> = Box<dyn FnMut(Progress) + Send + 'p>;

impl<'p> Download<'p> {
    pub(super) fn new(workspace: &Workspace, name: &str) -> Self {
        Self {
            bucket: workspace.bucket.clone(),
            name: name.to_owned(),
            on_progress: None,
        }
    }

    /// Calls `function` after each chunk that has come.
    pub fn on_progress<'q>(self, function: impl FnMut(Progress) + Send + 'q) -> Download<'q> {
        Download {
            bucket: self.bucket,
            name: self.name,
            on_progress: Some(Box::new(function)),
        }
    }

    /// Writes all that is in the file to `writer`, and flushes it.
    ///
    /// # Errors
    ///
    /// Those of [`Download`], and `invalid_input` when `writer` does not take it. Some of it may be
    /// written then.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have written some of it.
    pub async fn to_writer(
        self,
        writer: &mut (impl AsyncWrite + Send + Unpin + ?Sized),
    ) -> Result<ObjectInfo> {
        let mut reading = self.begin().await?;
        while let Some(chunk) = reading.next().await? {
            let written = writer.write_all(&chunk).await;
            written.map_err(|error| unwritable("the writer", error))?;
        }
        let flushed = writer.flush().await;
        flushed.map_err(|error| unwritable("the writer", error))?;
        Ok(reading.info.clone())
    }

    /// Writes all that is in the file to the file at `path`, in the place of what was there. Until all
    /// has come and is what was written, `path` stays as it is. A file that is replaced keeps its
    /// permissions, a link its place; what is no file, such as a device, is written to as it comes.
    ///
    /// # Errors
    ///
    /// Those of [`Download`], and `invalid_input` when the file cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it removes what it has written beside `path`.
    pub async fn to_file(self, path: impl AsRef<Path>) -> Result<ObjectInfo> {
        let path = path.as_ref();
        let unwritable = |error| unwritable(&path.display().to_string(), error);
        let older = tokio::fs::metadata(path).await.ok();
        if older.as_ref().is_some_and(|older| !older.is_file()) {
            let mut options = tokio::fs::OpenOptions::new();
            let mut device = options.write(true).open(path).await.map_err(unwritable)?;
            return self.to_writer(&mut device).await;
        }
        let target = match older {
            Some(_) => tokio::fs::canonicalize(path).await.map_err(unwritable)?,
            None => path.to_owned(),
        };
        let mut reading = self.begin().await?;
        let (mut file, part) = Part::create(&target).await.map_err(unwritable)?;
        if let Some(older) = older {
            file.set_permissions(older.permissions())
                .await
                .map_err(unwritable)?;
        }
        while let Some(chunk) = reading.next().await? {
            file.write_all(&chunk).await.map_err(unwritable)?;
        }
        file.sync_all().await.map_err(unwritable)?;
        tokio::fs::rename(&part.0, &target)
            .await
            .map_err(unwritable)?;
        Ok(reading.info.clone())
    }

    async fn all(self) -> Result<Bytes> {
        let mut reading = self.begin().await?;
        let mut all = BytesMut::new();
        while let Some(chunk) = reading.next().await? {
            if reading.is_over() && all.is_empty() {
                reading.next().await?;
                return Ok(chunk);
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    async fn begin(self) -> Result<Reading<'p>> {
        let version = Version::read(&self.bucket, &self.name).await?;
        let Some((meta, modified)) = version.meta()? else {
            return Err(Error::raised(
                ErrorCode::NotFound,
                format!("there is no file '{}' in the workspace", self.name),
            )
            .with_detail("name", self.name));
        };
        if let Some(link) = meta
            .options
            .as_ref()
            .and_then(|options| options.link.as_ref())
        {
            return Err(Error::raised(
                ErrorCode::InvalidInput,
                format!(
                    "file '{}' is a link to {}; get() what it points to",
                    self.name,
                    match &link.name {
                        Some(name) => format!("'{name}' in bucket '{}'", link.bucket),
                        None => format!("the bucket '{}'", link.bucket),
                    }
                ),
            ));
        }
        Ok(Reading {
            bucket: self.bucket,
            progress: Progress {
                bytes: 0,
                total: Some(meta.size),
            },
            meta: meta.clone(),
            info: ObjectInfo::of(meta.clone(), modified),
            on_progress: self.on_progress,
            consumer: None,
            stream: None,
            batch: None,
            delivered: 0,
            next_sequence: 0,
            chunks: 0,
            digest: digest::Context::new(&digest::SHA256),
        })
    }
}

impl Download<'static> {
    /// Reads the file piece by piece, no faster than the reader is read.
    ///
    /// # Errors
    ///
    /// Those of [`Download`]. Those that arise while it is read are [`std::io::Error`]s that have an
    /// [`Error`] inside; what was read before `digest_mismatch` may be anything.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the reader, leaves nothing behind.
    pub async fn reader(self) -> Result<ObjectReader> {
        let reading = self.begin().await?;
        let info = reading.info.clone();
        let chunks = stream::try_unfold(reading, |mut reading| async move {
            let chunk = reading.next().await?;
            Ok(chunk.map(|chunk| (chunk, reading)))
        });
        let chunks = chunks.map_err(|error: Error| std::io::Error::other(error));
        Ok(ObjectReader {
            info,
            chunks: StreamReader::new(chunks.boxed()),
        })
    }
}

impl<'p> IntoFuture for Download<'p> {
    type Output = Result<Bytes>;
    type IntoFuture = BoxFuture<'p, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.all().boxed()
    }
}

/// What is in a file, piece by piece; made by [`Download::reader`].
pub struct ObjectReader {
    info: ObjectInfo,
    chunks: StreamReader<BoxStream<'static, std::io::Result<Bytes>>, Bytes>,
}

impl ObjectReader {
    /// What is known of the file.
    #[must_use]
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }
}

impl AsyncRead for ObjectReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.chunks).poll_read(cx, buffer)
    }
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// A download on its way: batch by batch, each asked for when the one before is used up.
struct Reading<'p> {
    bucket: SharedBucket<ObjectBucket>,
    meta: ObjectMeta,
    info: ObjectInfo,
    on_progress: Option<OnProgress<'p>>,
    consumer: Option<Consumer<Config>>,
    /// Where the consumer is.
    stream: Option<Arc<JetStream>>,
    batch: Option<Batch>,
    /// How many chunks this consumer has delivered.
    delivered: u64,
    /// The bucket's number from which the next chunk is looked for.
    next_sequence: u64,
    chunks: u64,
    progress: Progress,
    digest: digest::Context,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.close();
    }
}

impl Reading<'_> {
    /// The next chunk; `None` once all have come, and are what was written.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.is_over() {
            self.check()?;
            return Ok(None);
        }
        if !is_nuid(&self.meta.nuid) {
            return Err(self.damaged("its chunks have no name"));
        }
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            match self.receive().await {
                Ok(Some(chunk)) => {
                    self.chunks += 1;
                    self.progress.bytes += chunk.len() as u64;
                    self.digest.update(&chunk);
                    if let Some(on_progress) = &mut self.on_progress {
                        on_progress(self.progress);
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) if attempts < ATTEMPTS => {}
                Ok(None) => return Err(self.damaged("one of its chunks is missing")),
                Err(error) if attempts < ATTEMPTS && started.elapsed() < PATIENCE => {
                    tracing::debug!(%error, name = self.info.name, "reading on with a new consumer");
                }
                Err(error) => return Err(error),
            }
            // Whatever happened to it, another one begins behind the last chunk that came.
            self.close();
            attempts += 1;
        }
    }

    fn is_over(&self) -> bool {
        self.chunks >= self.meta.chunks
    }

    /// The next chunk; `None` where the server has none.
    async fn receive(&mut self) -> Result<Option<Bytes>> {
        if self.meta.chunks == 1 {
            return self.receive_only_chunk().await;
        }
        if let Some(chunk) = self.receive_from_batch().await? {
            return Ok(Some(chunk));
        }
        self.open_batch().await?;
        self.receive_from_batch().await
    }

    /// One chunk needs no consumer.
    async fn receive_only_chunk(&mut self) -> Result<Option<Bytes>> {
        let subject = chunks_subject(&self.meta.nuid);
        let last = metadata::last_message(&self.bucket, &subject).await?;
        Ok(last.map(|message| message.payload))
    }

    async fn receive_from_batch(&mut self) -> Result<Option<Bytes>> {
        let Some(batch) = &mut self.batch else {
            return Ok(None);
        };
        let bucket = &self.bucket;
        let message = match tokio::time::timeout(NEXT, batch.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Err(bucket.failed("read", error)),
            Ok(None) => return Ok(None),
            Err(_) => return Err(bucket.failed("read", "the next chunk does not come")),
        };
        let info = message
            .info()
            .map_err(|error| bucket.failed("read", error))?;
        if info.consumer_sequence != self.delivered + 1 {
            return Err(bucket.failed("read", "a chunk was lost on its way"));
        }
        self.delivered = info.consumer_sequence;
        self.next_sequence = info.stream_sequence + 1;
        Ok(Some(message.payload.clone()))
    }

    async fn open_batch(&mut self) -> Result<()> {
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => self.open_consumer().await?,
        };
        let bucket = &self.bucket;
        let chunk = self
            .meta
            .options
            .as_ref()
            .and_then(|options| options.max_chunk_size);
        let messages = BATCH / chunk.unwrap_or(CHUNK).clamp(1024, BATCH);
        let messages = messages.min(self.meta.chunks - self.chunks).max(1);
        let messages = usize::try_from(messages).unwrap_or(1);
        let fetching = consumer.fetch().max_messages(messages).messages();
        let batch = match tokio::time::timeout(NEXT, fetching).await {
            Ok(batch) => batch.map_err(|error| bucket.failed("read", error))?,
            Err(_) => return Err(bucket.failed("read", "the server does not answer")),
        };
        self.batch = Some(batch);
        self.consumer = Some(consumer);
        Ok(())
    }

    async fn open_consumer(&mut self) -> Result<Consumer<Config>> {
        let (nuid, next_sequence) = (&self.meta.nuid, self.next_sequence);
        let create = |stream: Arc<JetStream>| async move {
            let deliver_policy = match next_sequence {
                0 => DeliverPolicy::All,
                start_sequence => DeliverPolicy::ByStartSequence { start_sequence },
            };
            let config = Config {
                filter_subject: chunks_subject(nuid),
                deliver_policy,
                ack_policy: AckPolicy::None,
                inactive_threshold: PAUSE,
                memory_storage: true,
                num_replicas: 1,
                ..Config::default()
            };
            let consumer = stream.create_consumer(config).await?;
            Ok::<_, ConsumerError>((consumer, stream))
        };
        let (consumer, stream) = self.bucket.try_with("read", create).await?;
        self.stream = Some(stream);
        Ok(consumer)
    }

    fn close(&mut self) {
        self.batch = None;
        self.delivered = 0;
        if let (Some(consumer), Some(stream)) = (self.consumer.take(), self.stream.take()) {
            forget((*stream).clone(), consumer.cached_info().name.clone());
        }
    }

    fn check(&self) -> Result<()> {
        if self.progress.bytes != self.meta.size {
            return Err(self.damaged("it has another size"));
        }
        let digest = digest_text(self.digest.clone().finish().as_ref());
        // Not every writer gives one.
        if !self.meta.digest.is_empty() && digest != self.meta.digest {
            return Err(self.damaged("it has another digest"));
        }
        Ok(())
    }

    fn damaged(&self, how: &str) -> Error {
        let name = &self.info.name;
        Error::raised(
            ErrorCode::DigestMismatch,
            format!(
                "file '{name}' is not what was written: {how}; it was damaged, or replaced while it \
                 was read"
            ),
        )
        .with_detail("name", name.as_str())
        .with_detail("bytes", self.progress.bytes)
        .with_detail("size", self.meta.size)
    }
}

/// A file that is removed again unless it was renamed.
struct Part(PathBuf);

impl Part {
    /// Creates a file beside `path`.
    async fn create(path: &Path) -> std::io::Result<(tokio::fs::File, Self)> {
        let id = RequestId::random().to_string();
        let name = format!(".oam-{}.part", id.get(..8).unwrap_or(&id));
        let path = path.with_file_name(name);
        // Created where nobody waits any more, it is removed with what comes of it.
        let creating = move || {
            let file = std::fs::File::create_new(&path)?;
            Ok((file, Self(path)))
        };
        let created: std::io::Result<_> = tokio::task::spawn_blocking(creating).await?;
        let (file, part) = created?;
        Ok((tokio::fs::File::from_std(file), part))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename it is not there, which is as good.
        drop(std::fs::remove_file(&self.0));
    }
}

fn unwritable(what: &str, error: std::io::Error) -> Error {
    Error::raised(
        ErrorCode::InvalidInput,
        format!("what was read from the workspace cannot be written to {what}: {error}"),
    )
    .with_source(error)
}
