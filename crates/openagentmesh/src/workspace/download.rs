//! Downloads of files.

use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncRead, AsyncSeekExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::io::StreamReader;

use super::content::Content;
use super::local_file::{PartialFile, cannot_write};
use super::metadata::ObjectInfo;
use super::progress::{OnProgress, Progress};
use crate::error::{Error, Result};
use crate::store::{ObjectBucket, SharedBucket};
use crate::util::deferred::Deferred;

/// A download. A future: the download starts when it is first polled. Returned by
/// [`Workspace::get`](super::Workspace::get). Awaiting it returns the whole content in memory. Large files are written [to a file](Download::to_file) or [to a
/// writer](Download::to_writer), or read from a [reader](Download::reader).
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `not_found` when the file does not exist;
/// * `digest_mismatch` when the content does not match its digest: it was damaged, or replaced during the download. A download
///   of a replaced file starts again by itself, up to three times. [`to_writer`](Download::to_writer) does so until it has
///   written something, and a [`reader`](Download::reader) does not;
/// * `invalid_input` when the name is invalid, or the file is a link;
/// * `connection_failed` when the server does not answer;
/// * `storage_error` when the server cannot read the file, or its metadata is malformed.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing running.
#[must_use = "a download starts when it is awaited"]
pub struct Download<'p>(Deferred<'p, Parts<'p>, Result<Bytes>>);

struct Parts<'p> {
    bucket: SharedBucket<ObjectBucket>,
    name: String,
    on_progress: Option<OnProgress<'p>>,
}

impl<'p> Download<'p> {
    pub(super) fn new(bucket: &SharedBucket<ObjectBucket>, name: &str) -> Self {
        let parts = Parts {
            bucket: bucket.clone(),
            name: name.to_owned(),
            on_progress: None,
        };
        Self(Deferred::new(parts, |parts| parts.all().boxed()))
    }

    /// Calls `function` after each received chunk. When the file is replaced during the download, the bytes may begin at 0
    /// again.
    pub fn on_progress<'q>(self, function: impl FnMut(Progress) + Send + 'q) -> Download<'q> {
        let parts = self.0.into_parts().map(|parts| Parts {
            bucket: parts.bucket,
            name: parts.name,
            on_progress: Some(Box::new(function)),
        });
        Download(Deferred::of(parts, |parts| parts.all().boxed()))
    }

    /// Writes the content to `writer`, and flushes it.
    ///
    /// # Errors
    ///
    /// Those of [`Download`], and `io_error` when `writer` fails. A part of the content may be written then.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have written a part of the content.
    pub async fn to_writer(
        self,
        writer: &mut (impl AsyncWrite + Send + Unpin + ?Sized),
    ) -> Result<ObjectInfo> {
        let mut content = self.0.into_parts()?.open().await?;
        let mut is_unwritten = true;
        loop {
            match content.next().await {
                Ok(Some(chunk)) => {
                    is_unwritten = false;
                    let written = writer.write_all(&chunk).await;
                    written.map_err(|error| cannot_write("the writer", error))?;
                }
                Ok(None) => break,
                Err(error) if is_unwritten => content.start_again(error).await?,
                Err(error) => return Err(error),
            }
        }
        let flushed = writer.flush().await;
        flushed.map_err(|error| cannot_write("the writer", error))?;
        Ok(content.info().clone())
    }

    /// Writes the content to the local file at `path`, which is replaced atomically once all of it has
    /// arrived and matches the digest. A replaced file keeps its permissions; for a link, its target is
    /// replaced. If `path` is not a regular file, such as a device, each chunk is written as it arrives.
    ///
    /// # Errors
    ///
    /// Those of [`Download`], and `io_error` when the local file cannot be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves `path` unchanged, and removes the temporary file next to it.
    pub async fn to_file(self, path: impl AsRef<Path>) -> Result<ObjectInfo> {
        let path = path.as_ref();
        let cannot_write = |error| cannot_write(&path.display().to_string(), error);
        let older = tokio::fs::metadata(path).await.ok();
        if older.as_ref().is_some_and(|older| !older.is_file()) {
            let mut options = tokio::fs::OpenOptions::new();
            let mut device = options.write(true).open(path).await.map_err(cannot_write)?;
            return self.to_writer(&mut device).await;
        }
        let target = match older {
            Some(_) => tokio::fs::canonicalize(path).await.map_err(cannot_write)?,
            None => path.to_owned(),
        };
        let mut content = self.0.into_parts()?.open().await?;
        let (mut file, partial) = PartialFile::create(&target).await.map_err(cannot_write)?;
        if let Some(older) = older {
            file.set_permissions(older.permissions())
                .await
                .map_err(cannot_write)?;
        }
        loop {
            match content.next().await {
                Ok(Some(chunk)) => file.write_all(&chunk).await.map_err(cannot_write)?,
                Ok(None) => break,
                Err(error) => {
                    content.start_again(error).await?;
                    file.rewind().await.map_err(cannot_write)?;
                    file.set_len(0).await.map_err(cannot_write)?;
                }
            }
        }
        file.sync_all().await.map_err(cannot_write)?;
        tokio::fs::rename(partial.path(), &target)
            .await
            .map_err(cannot_write)?;
        Ok(content.info().clone())
    }
}

impl<'p> Parts<'p> {
    async fn all(self) -> Result<Bytes> {
        let mut content = self.open().await?;
        // Filled as the chunks arrive, so that the client can use their buffers again. The size in the metadata is not trusted.
        let mut all = Vec::new();
        loop {
            match content.next().await {
                // A single chunk is returned without a copy.
                Ok(Some(chunk)) if all.is_empty() && content.is_complete() => {
                    match content.next().await {
                        Ok(_) => return Ok(chunk),
                        Err(error) => content.start_again(error).await?,
                    }
                }
                Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                Ok(None) => return Ok(all.into()),
                Err(error) => {
                    content.start_again(error).await?;
                    all.clear();
                }
            }
        }
    }

    async fn pieces(self) -> Result<Vec<Bytes>> {
        let mut content = self.open().await?;
        let mut pieces = Vec::new();
        loop {
            match content.next().await {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => return Ok(pieces),
                Err(error) => {
                    content.start_again(error).await?;
                    pieces.clear();
                }
            }
        }
    }

    async fn open(self) -> Result<Content<'p>> {
        Content::open(self.bucket, self.name, self.on_progress).await
    }
}

impl Download<'static> {
    /// Returns the content in the pieces in which it arrived, without copying them: for callers that copy them into a
    /// buffer of their own.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let pieces = mesh.workspace().get("reports/2026.pdf").pieces().await?;
    /// let size: usize = pieces.iter().map(|piece| piece.len()).sum();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Download`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing running.
    pub async fn pieces(self) -> Result<Vec<Bytes>> {
        self.0.into_parts()?.pieces().await
    }

    /// Returns a reader of the content. Chunks are fetched as the reader is read.
    ///
    /// # Errors
    ///
    /// Those of [`Download`]. During reading, they are wrapped into [`std::io::Error`]. The content read
    /// before a `digest_mismatch` is not reliable. If the file was replaced, another reader reads its new version.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the reader, leaves nothing running.
    pub async fn reader(self) -> Result<ObjectReader> {
        let content = self.0.into_parts()?.open().await?;
        let info = content.info().clone();
        let chunks = stream::try_unfold(content, |mut content| async move {
            let chunk = content.next().await?;
            Ok(chunk.map(|chunk| (chunk, content)))
        });
        let chunks = chunks.map_err(|error: Error| std::io::Error::other(error));
        Ok(ObjectReader {
            info,
            chunks: StreamReader::new(chunks.boxed()),
        })
    }
}

impl Future for Download<'_> {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// A reader of a file's content; returned by [`Download::reader`].
pub struct ObjectReader {
    info: ObjectInfo,
    chunks: StreamReader<BoxStream<'static, std::io::Result<Bytes>>, Bytes>,
}

impl ObjectReader {
    /// The metadata of the file.
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
