//! The digest of a download, computed while further chunks arrive.

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::metadata::digest_text;

/// The number of chunks that wait to be digested. Further ones wait in the connection.
const MAX_WAITING: usize = 16;

/// Computes a digest in a task of its own. Otherwise the time of the digest would be added to that of each batch: see
/// ADR 22.
pub(super) struct RunningDigest {
    /// `None` when all chunks were added.
    chunks: Option<mpsc::Sender<Bytes>>,
    /// `None` when the digest is known.
    task: Option<AbortOnDropHandle<String>>,
    digest: Option<String>,
}

impl RunningDigest {
    /// Must be called in a tokio runtime.
    pub(super) fn start() -> Self {
        let (chunks, mut waiting) = mpsc::channel::<Bytes>(MAX_WAITING);
        let task = tokio::spawn(async move {
            let mut digest = Context::new(&SHA256);
            while let Some(chunk) = waiting.recv().await {
                digest.update(&chunk);
            }
            digest_text(digest.finish().as_ref())
        });
        Self {
            chunks: Some(chunks),
            task: Some(AbortOnDropHandle::new(task)),
            digest: None,
        }
    }

    /// Adds a chunk. Waits while the digest is behind.
    pub(super) async fn update(&self, chunk: Bytes) {
        if let Some(chunks) = &self.chunks {
            // Without the task, the runtime is shutting down, and `finish` has no digest.
            drop(chunks.send(chunk).await);
        }
    }

    /// The digest of all chunks, in its form on the wire; `None` if the runtime shuts down. Cancel-safe.
    pub(super) async fn finish(&mut self) -> Option<&str> {
        self.chunks = None;
        if let Some(task) = &mut self.task {
            self.digest = task.await.ok();
            self.task = None;
        }
        self.digest.as_deref()
    }
}
