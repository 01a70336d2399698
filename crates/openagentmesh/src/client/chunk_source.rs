//! The chunks of a stream as they arrive, bounded while their consumer takes none.

use async_nats::Message;
use futures::StreamExt;
use futures::stream::BoxStream;
use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};
use crate::transport::{IncomingChunks, Limit, MessageQueue};

/// The origin of a stream's chunks.
pub(super) enum Source {
    /// A host on the mesh.
    Mesh(IncomingChunks),
    /// An agent of this process.
    Local(BoxStream<'static, Result<Message>>),
}

impl Source {
    /// The next message; `None` after the last one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Message>> {
        match self {
            Self::Mesh(chunks) => match chunks.next().await {
                Some(Ok(message)) => Ok(Some(message)),
                Some(Err(lost)) => Err(lost_chunks(lost)),
                None => Ok(None),
            },
            Self::Local(chunks) => chunks.next().await.transpose(),
        }
    }

    /// Allows `credit` more chunks. To be called before the credit is sent.
    pub(super) fn allow(&self, credit: u32) {
        if let Self::Mesh(chunks) = self {
            chunks.allow(credit);
        }
    }

    /// The credit was sent.
    pub(super) fn grant(&mut self, credit: u32) {
        if let Self::Mesh(chunks) = self {
            chunks.grant(credit);
        }
    }

    /// The number of chunks that the host may have sent since the beginning.
    pub(super) fn allowed(&self) -> u64 {
        match self {
            Self::Mesh(chunks) => chunks.allowed(),
            Self::Local(_) => u64::MAX,
        }
    }

    /// The limit that ended the messages: the host sent one beyond it.
    pub(super) fn exceeded(&self) -> Option<Limit> {
        match self {
            Self::Mesh(chunks) => chunks.exceeded(),
            Self::Local(_) => None,
        }
    }
}

fn lost_chunks(lost: u64) -> Error {
    Error::raised(
        ErrorCode::ChunkSequenceError,
        format!(
            "{lost} chunks were lost: they were taken too slowly, at most {} or {} MiB wait, and their host \
             does not limit its rate",
            MessageQueue::MAX_MESSAGES,
            MessageQueue::MAX_BYTES / (1024 * 1024),
        ),
    )
    .with_detail("lost", lost)
}
