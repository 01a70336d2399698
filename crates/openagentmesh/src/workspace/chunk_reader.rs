//! Reading the chunks of a file.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::stream::{ConsumerError, Stream};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::try_join_all;
use openagentmesh_protocol::ErrorCode;
use openagentmesh_protocol::object::ObjectMeta;
use tokio::sync::watch;
use tokio::time::Instant;

use super::metadata::{ObjectInfo, chunks_subject, is_nuid};
use super::progress::{OnProgress, Progress};
use super::running_digest::RunningDigest;
use crate::error::{Error, Result};
use crate::store::{Access, ConsumerGuard, Find, ObjectBucket, SharedBucket, StoredMessage};
use crate::transport::DenialWatch;

/// The sizes of batches, rounded to whole chunks. A batch occupies the connection: replies to other requests of
/// this process arrive after it.
const FIRST_BATCH_BYTES: u64 = 128 * 1024;
const MIN_BATCH_BYTES: u64 = 16 * 1024;
const MAX_BATCH_BYTES: u64 = 8 * 1024 * 1024;
/// The size of a batch is doubled as long as batches arrive in less than this time.
const FAST_BATCH: Duration = Duration::from_millis(250);
/// The size of a batch is halved when a batch takes longer than this.
const SLOW_BATCH: Duration = Duration::from_secs(1);
/// The assumed size of a chunk if the metadata does not have it.
const DEFAULT_CHUNK_BYTES: u64 = 128 * 1024;
/// The longest wait for one chunk while no bytes arrive.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait for one chunk while bytes arrive, which may be those of other messages.
const SLOW_CHUNK_TIMEOUT: Duration = Duration::from_secs(180);
/// The time limit for repeated requests of one chunk, without progress.
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
/// The maximum number of repeated requests of one chunk.
const MAX_RETRIES: u32 = 3;
/// The server deletes a consumer that requested no batch for so long. A slower reader continues with a new
/// one.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(60);

/// The request for a consumer.
const CREATE_CONSUMER: &str = "CONSUMER.CREATE";
/// The request for one chunk.
const READ: &str = "STREAM.MSG.GET";
/// The largest number of concurrent requests for chunks.
const MAX_REQUESTS: u64 = 16;

/// Reads the chunks of a file in order, in batches, each requested when the one before is used up. After a failure, the
/// next chunk is read with a request of its own: the client may be unable to receive its message.
///
/// A user who may have no consumers reads all chunks with requests.
pub(super) struct ChunkReader<'p> {
    bucket: SharedBucket<ObjectBucket>,
    meta: ObjectMeta,
    info: ObjectInfo,
    on_progress: Option<OnProgress<'p>>,
    consumer: Option<ChunkConsumer>,
    batch: Option<Batch>,
    /// Chunks that were read without a consumer, and are due.
    ahead: VecDeque<StoredMessage>,
    /// The number of concurrent requests for them.
    requests: u64,
    batch_bytes: u64,
    batch_started: Instant,
    /// The number of chunks that the current consumer has delivered.
    delivered: u64,
    /// The sequence in the bucket at which the next chunk may be; 0 before the first one.
    next_sequence: u64,
    /// Whether the next chunk is read with a request of its own.
    reads_next: bool,
    /// Counts reconnections: messages in flight at that time are lost.
    reconnections: watch::Receiver<u64>,
    /// The number of chunks read.
    chunks: u64,
    progress: Progress,
    digest: RunningDigest,
    /// The server's denial of the requests for chunks.
    denied: DenialWatch,
}

/// A consumer of the chunks, deleted from the server when it is dropped.
struct ChunkConsumer {
    consumer: Consumer<Config>,
    _guard: ConsumerGuard,
}

impl<'p> ChunkReader<'p> {
    pub(super) fn new(
        bucket: SharedBucket<ObjectBucket>,
        meta: ObjectMeta,
        info: ObjectInfo,
        on_progress: Option<OnProgress<'p>>,
    ) -> Self {
        Self {
            denied: bucket.watch_denials(Access::Consume),
            reads_next: false,
            reconnections: bucket.connection().watch_reconnections(),
            bucket,
            progress: Progress {
                bytes: 0,
                total: Some(meta.size),
            },
            meta,
            info,
            on_progress,
            consumer: None,
            batch: None,
            ahead: VecDeque::new(),
            requests: 1,
            batch_bytes: FIRST_BATCH_BYTES,
            batch_started: Instant::now(),
            delivered: 0,
            next_sequence: 0,
            chunks: 0,
            digest: RunningDigest::start(),
        }
    }

    /// Starts again with another version. Returns whether it is another one.
    pub(super) fn start_with(&mut self, meta: ObjectMeta, info: ObjectInfo) -> bool {
        let is_other = meta.nuid != self.meta.nuid;
        if is_other {
            let on_progress = self.on_progress.take();
            *self = Self::new(self.bucket.clone(), meta, info, on_progress);
        }
        is_other
    }

    pub(super) fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// The next chunk; `None` once all were read and match the digest.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.is_complete() {
            self.check().await?;
            return Ok(None);
        }
        if !is_nuid(&self.meta.nuid) {
            return Err(self.damaged("the identifier of its chunks is invalid"));
        }
        let started = Instant::now();
        let mut attempts = 0;
        loop {
            match self.receive().await {
                Ok(Some(chunk)) => {
                    self.chunks += 1;
                    self.progress.bytes += chunk.len() as u64;
                    self.digest.update(chunk.clone()).await;
                    if let Some(on_progress) = &mut self.on_progress {
                        on_progress(self.progress);
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) if attempts < MAX_RETRIES => {}
                Ok(None) => return Err(self.damaged("one of its chunks is missing")),
                Err(error)
                    if attempts < MAX_RETRIES
                        && started.elapsed() < RETRY_TIMEOUT
                        && error.code() != &ErrorCode::ConnectionDenied =>
                {
                    let name = &self.info.name;
                    tracing::debug!(%error, name, "the download continues with a new consumer");
                }
                Err(error) => return Err(error),
            }
            self.close();
            self.reads_next = true;
            attempts += 1;
        }
    }

    /// Whether all chunks were read.
    pub(super) fn is_complete(&self) -> bool {
        self.chunks >= self.meta.chunks
    }

    /// The next chunk; `None` if the server has none.
    async fn receive(&mut self) -> Result<Option<Bytes>> {
        // A single chunk can be read without a consumer.
        if self.meta.chunks == 1 || self.reads_next {
            return self.read_next().await;
        }
        let mut reconnections = self.reconnections.clone();
        tokio::select! {
            biased;
            received = self.receive_in_batches() => return received,
            Ok(()) = reconnections.changed() => {}
        }
        let reason = "the connection was lost during the download";
        Err(self.bucket.no_answer("read", reason))
    }

    async fn receive_in_batches(&mut self) -> Result<Option<Bytes>> {
        if !self.bucket.is_request_denied(CREATE_CONSUMER) {
            match self.receive_with_consumer().await {
                // Known only now.
                Err(error) if self.bucket.is_request_denied(CREATE_CONSUMER) => {
                    tracing::debug!(%error, "chunks are read without a consumer");
                }
                received => return received,
            }
        }
        self.receive_by_requests().await
    }

    async fn read_next(&mut self) -> Result<Option<Bytes>> {
        let chunks = chunks_subject(&self.meta.nuid);
        let next = match self.meta.chunks == 1 && self.bucket.is_request_denied(READ) {
            // May be read directly.
            true => Find::Last(&chunks),
            false => Find::Next {
                filter: &chunks,
                from: self.next_sequence.max(1),
            },
        };
        let Some(message) = self.bucket.message("read", next).await? else {
            return Ok(None);
        };
        self.reads_next = message.is_suspect;
        self.next_sequence = message.sequence + 1;
        Ok(Some(message.payload))
    }

    /// Reads the next chunks with concurrent requests, of a user who may have no consumers. The chunks of an upload mostly
    /// follow each other in the bucket: then each request finds another one.
    async fn receive_by_requests(&mut self) -> Result<Option<Bytes>> {
        if self.ahead.is_empty() {
            let chunks = chunks_subject(&self.meta.nuid);
            let left = self.meta.chunks - self.chunks;
            let width = match self.next_sequence {
                // The place of the first one is not known.
                0 => 1,
                _ => self.requests.min(left).max(1),
            };
            let first = self.next_sequence.max(1);
            let requests = (first..first + width).map(|from| {
                let filter = chunks.as_str();
                self.bucket.message("read", Find::Next { filter, from })
            });
            let mut last = first - 1;
            for message in try_join_all(requests).await?.into_iter().flatten() {
                if message.sequence > last {
                    last = message.sequence;
                    self.ahead.push_back(message);
                }
            }
            let found = self.ahead.len() as u64;
            self.requests = match found == width {
                true => (width * 2).min(MAX_REQUESTS),
                false => found.max(1),
            };
        }
        Ok(self.ahead.pop_front().map(|message| {
            self.next_sequence = message.sequence + 1;
            message.payload
        }))
    }

    async fn receive_with_consumer(&mut self) -> Result<Option<Bytes>> {
        if let Some(chunk) = self.receive_from_batch().await? {
            return Ok(Some(chunk));
        }
        self.open_batch().await?;
        self.receive_from_batch().await
    }

    async fn receive_from_batch(&mut self) -> Result<Option<Bytes>> {
        let Some(batch) = &mut self.batch else {
            return Ok(None);
        };
        let bucket = &self.bucket;
        let mut progress = bucket.connection().receive_progress();
        let mut waited = Duration::ZERO;
        let message = loop {
            let next = tokio::time::timeout(CHUNK_TIMEOUT, batch.next());
            let next = tokio::select! {
                biased;
                next = next => next,
                error = self.denied.denied() => return Err(error),
            };
            match next {
                Ok(Some(Ok(message))) => break message,
                Ok(Some(Err(error))) => return Err(bucket.failed("read", error)),
                Ok(None) => return Ok(None),
                Err(_) => waited += CHUNK_TIMEOUT,
            }
            if waited >= SLOW_CHUNK_TIMEOUT || !progress.has_advanced(CHUNK_TIMEOUT) {
                return Err(bucket.no_answer("read", "the next chunk does not arrive"));
            }
        };
        let info = message
            .info()
            .map_err(|error| bucket.failed("read", error))?;
        if info.consumer_sequence != self.delivered + 1 {
            return Err(bucket.no_answer("read", "a chunk was lost"));
        }
        self.delivered = info.consumer_sequence;
        self.next_sequence = info.stream_sequence + 1;
        Ok(Some(message.payload.clone()))
    }

    async fn open_batch(&mut self) -> Result<()> {
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => self.create_consumer().await?,
        };
        let is_next = self.batch.take().is_some();
        let messages = usize::try_from(self.next_batch(is_next)).unwrap_or(1);
        let bucket = &self.bucket;
        // The stored chunks may be larger than declared. There is always room for one message.
        let max_payload = bucket.connection().max_payload();
        let max_bytes = usize::try_from(self.batch_bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(max_payload);
        let fetch = consumer.consumer.fetch();
        let fetch = fetch.max_messages(messages).max_bytes(max_bytes).messages();
        let batch = match tokio::time::timeout(CHUNK_TIMEOUT, fetch).await {
            Ok(batch) => batch.map_err(|error| bucket.failed("read", error))?,
            Err(_) => return Err(bucket.no_answer("read", "the connection has no room")),
        };
        self.batch = Some(batch);
        self.consumer = Some(consumer);
        Ok(())
    }

    /// The number of chunks of the next batch, whose size is adapted to the link if it `is_next` after another one.
    fn next_batch(&mut self, is_next: bool) -> u64 {
        if is_next {
            let took = self.batch_started.elapsed();
            if took < FAST_BATCH {
                self.batch_bytes = (self.batch_bytes * 2).min(MAX_BATCH_BYTES);
            } else if took > SLOW_BATCH {
                self.batch_bytes = (self.batch_bytes / 2).max(MIN_BATCH_BYTES);
            }
        }
        self.batch_started = Instant::now();
        let options = self.meta.options.as_ref();
        let chunk = options.and_then(|options| options.max_chunk_size);
        let chunk = chunk.unwrap_or(DEFAULT_CHUNK_BYTES);
        let messages = self.batch_bytes / chunk.clamp(1024, MAX_BATCH_BYTES);
        messages.min(self.meta.chunks - self.chunks).max(1)
    }

    async fn create_consumer(&mut self) -> Result<ChunkConsumer> {
        let (nuid, next_sequence) = (&self.meta.nuid, self.next_sequence);
        let name = &self.bucket.connection().write_id();
        let create = |stream: Arc<Stream>| async move {
            let deliver_policy = match next_sequence {
                0 => DeliverPolicy::All,
                start_sequence => DeliverPolicy::ByStartSequence { start_sequence },
            };
            let config = Config {
                // Makes the creation idempotent, which is asked for again in a cluster that does not answer.
                name: name.clone(),
                filter_subject: chunks_subject(nuid),
                deliver_policy,
                ack_policy: AckPolicy::None,
                inactive_threshold: INACTIVE_THRESHOLD,
                memory_storage: true,
                num_replicas: 1,
                ..Config::default()
            };
            let consumer = stream.create_consumer(config).await?;
            Ok::<_, ConsumerError>((consumer, stream))
        };
        let (consumer, stream) = self
            .bucket
            .try_with("read", Access::Consume, create)
            .await?;
        let name = consumer.cached_info().name.clone();
        Ok(ChunkConsumer {
            consumer,
            _guard: ConsumerGuard::new((*stream).clone(), name),
        })
    }

    /// Gives the consumer up. The next one starts after the last chunk that was read.
    fn close(&mut self) {
        self.batch = None;
        self.ahead.clear();
        self.consumer = None;
        self.delivered = 0;
        self.reconnections.mark_unchanged();
    }

    async fn check(&mut self) -> Result<()> {
        if self.progress.bytes != self.meta.size {
            return Err(self.damaged("its size differs"));
        }
        let digest = self.digest.finish().await;
        // The digest is optional.
        if !self.meta.digest.is_empty() && digest != Some(&self.meta.digest) {
            return Err(self.damaged("its digest differs"));
        }
        Ok(())
    }

    fn damaged(&self, reason: &str) -> Error {
        let name = &self.info.name;
        Error::raised(
            ErrorCode::DigestMismatch,
            format!("digest mismatch of file '{name}': {reason}; download it again"),
        )
        .with_detail("name", name.as_str())
        .with_detail("bytes", self.progress.bytes)
        .with_detail("size", self.meta.size)
    }
}
