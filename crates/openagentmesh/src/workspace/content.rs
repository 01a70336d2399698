//! The content of a file, which another version may replace while it is read.

use bytes::Bytes;
use openagentmesh_protocol::ErrorCode;
use openagentmesh_protocol::object::ObjectMeta;

use super::chunk_reader::ChunkReader;
use super::metadata::{ObjectInfo, Version};
use super::progress::OnProgress;
use crate::error::{Error, Result};
use crate::store::{ObjectBucket, SharedBucket};

/// The number of times that one download starts again with a newer version.
const MAX_RESTARTS: u32 = 3;

/// The content of the version that was current when it was opened. A newer version removes the chunks of that one.
pub(super) struct Content<'p> {
    bucket: SharedBucket<ObjectBucket>,
    name: String,
    chunks: ChunkReader<'p>,
    restarts: u32,
}

impl<'p> Content<'p> {
    pub(super) async fn open(
        bucket: SharedBucket<ObjectBucket>,
        name: String,
        on_progress: Option<OnProgress<'p>>,
    ) -> Result<Self> {
        let (meta, info) = current(&bucket, &name).await?;
        Ok(Self {
            chunks: ChunkReader::new(bucket.clone(), meta, info, on_progress),
            bucket,
            name,
            restarts: 0,
        })
    }

    pub(super) fn info(&self) -> &ObjectInfo {
        self.chunks.info()
    }

    /// Whether all chunks were returned. The digest is not checked before [`next`](Self::next) returns `None`.
    pub(super) fn is_complete(&self) -> bool {
        self.chunks.is_complete()
    }

    /// The next chunk; `None` once all were returned and match the digest.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        self.chunks.next().await
    }

    /// Starts again with the version that is current now. The caller drops the chunks that it has.
    ///
    /// # Errors
    ///
    /// `error`, the reason why the content cannot be read, unless another version is the cause; `not_found` when the file was
    /// deleted.
    pub(super) async fn start_again(&mut self, error: Error) -> Result<()> {
        if error.code() != &ErrorCode::DigestMismatch || self.restarts == MAX_RESTARTS {
            return Err(error);
        }
        let (meta, info) = current(&self.bucket, &self.name).await?;
        if !self.chunks.start_with(meta, info) {
            return Err(error);
        }
        self.restarts += 1;
        tracing::debug!(
            name = self.name,
            "the download starts again: the file was replaced"
        );
        Ok(())
    }
}

/// The current version of a file.
async fn current(
    bucket: &SharedBucket<ObjectBucket>,
    name: &str,
) -> Result<(ObjectMeta, ObjectInfo)> {
    let version = Version::read(bucket, name).await?;
    let Some((meta, modified)) = version.meta()? else {
        return Err(Error::raised(
            ErrorCode::NotFound,
            format!("file '{name}' not found in the workspace"),
        )
        .with_detail("name", name));
    };
    let options = meta.options.as_ref();
    if let Some(link) = options.and_then(|options| options.link.as_ref()) {
        return Err(Error::raised(
            ErrorCode::InvalidInput,
            format!(
                "unsupported link '{name}': it refers to {}; get() the target",
                match &link.name {
                    Some(name) => format!("'{name}' in bucket '{}'", link.bucket),
                    None => format!("bucket '{}'", link.bucket),
                }
            ),
        ));
    }
    Ok((meta.clone(), ObjectInfo::new(meta.clone(), modified)))
}
