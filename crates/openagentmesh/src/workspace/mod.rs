//! Files that agents share.
//!
//! `object` is what is known of one, and how that is read and written; `upload` and `download` move
//! what is in it, chunk by chunk.

mod download;
mod metadata;
mod upload;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use openagentmesh_protocol::ErrorCode;
use tokio::io::AsyncRead;

use crate::error::{Error, Result};
use crate::store::latest;
use crate::store::{ObjectBucket, SharedBucket};
use metadata::{Version, all_objects};
use upload::Source;

pub use download::{Download, ObjectReader};
pub use metadata::ObjectInfo;
pub use upload::Upload;
pub use watch::{ObjectChange, ObjectChanges, ObjectWatch};

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were moved.
    pub bytes: u64,
    /// Bytes that there are, if that is known.
    pub total: Option<u64>,
}

/// The files that everybody on the mesh shares; made by [`Client::workspace`](crate::Client::workspace).
/// Cheap to clone.
///
/// A name is any text that is not empty; a prefix is what names begin with, such as `reports/`. Files of
/// any size pass through in constant memory. What is read is checked against the digest that it was
/// written with. An upload that is interrupted leaves the version before it as it was.
///
/// # Errors
///
/// Every method fails with `invalid_input` when the name is empty or too long for a subject, and with
/// `connection_failed` when the server does not answer or does not do it.
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
/// let files = mesh.workspace();
/// files.put("notes.txt", "remember the milk").content_type("text/plain").await?;
/// files.put_file("reports/2026.pdf", "2026.pdf").await?;
///
/// let notes = files.get("notes.txt").await?;
/// files.get("reports/2026.pdf").to_file("copy.pdf").await?;
///
/// for file in files.list("reports/").await? {
///     println!("{} ({} bytes)", file.name, file.size);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Workspace {
    bucket: SharedBucket<ObjectBucket>,
}

impl Workspace {
    pub(crate) fn new(bucket: &SharedBucket<ObjectBucket>) -> Self {
        Self {
            bucket: bucket.clone(),
        }
    }

    fn bucket(&self) -> &Arc<ObjectBucket> {
        &self.bucket
    }

    /// Puts `content` into the file `name`, in the place of what was there. See [`Upload`].
    ///
    /// # Errors
    ///
    /// Those of [`Upload`].
    pub fn put(&self, name: impl AsRef<str>, content: impl Into<Bytes>) -> Upload<'static> {
        Upload::new(self, name.as_ref(), Source::Bytes(content.into()))
    }

    /// Puts all that `reader` gives into the file `name`. See [`Upload`].
    ///
    /// # Errors
    ///
    /// Those of [`Upload`].
    pub fn put_reader<'r>(
        &self,
        name: impl AsRef<str>,
        reader: impl AsyncRead + Send + Unpin + 'r,
    ) -> Upload<'r> {
        Upload::new(self, name.as_ref(), Source::Reader(Box::new(reader)))
    }

    /// Puts what is in the file at `path` into the file `name`. See [`Upload`].
    ///
    /// # Errors
    ///
    /// Those of [`Upload`].
    pub fn put_file(&self, name: impl AsRef<str>, path: impl Into<PathBuf>) -> Upload<'static> {
        Upload::new(self, name.as_ref(), Source::File(path.into()))
    }

    /// Reads the file `name`. See [`Download`].
    ///
    /// # Errors
    ///
    /// Those of [`Download`].
    pub fn get(&self, name: impl AsRef<str>) -> Download<'static> {
        Download::new(self, name.as_ref())
    }

    /// What is known of the file `name`; `None` when there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Workspace`]. Cancel-safe.
    pub async fn info(&self, name: impl AsRef<str>) -> Result<Option<ObjectInfo>> {
        let version = Version::read(self.bucket(), name.as_ref()).await?;
        let meta = version.meta()?;
        Ok(meta.map(|(meta, modified)| ObjectInfo::of(meta.clone(), modified)))
    }

    /// What is known of the files whose names begin with `prefix`, sorted by name; `""` lists all.
    ///
    /// # Errors
    ///
    /// Those of [`Workspace`]. Cancel-safe.
    pub async fn list(&self, prefix: impl AsRef<str>) -> Result<Vec<ObjectInfo>> {
        let messages = latest::list(self.bucket(), all_objects(), false).await?;
        let mut objects = std::collections::BTreeMap::new();
        for message in messages {
            match ObjectChange::of(&message) {
                // Of one that was written meanwhile, the last version counts.
                Some(ObjectChange::Put(object)) => {
                    drop(objects.insert(object.name.clone(), object))
                }
                Some(ObjectChange::Deleted { name }) => drop(objects.remove(&name)),
                None => {}
            }
        }
        let prefix = prefix.as_ref();
        objects.retain(|name, _| name.starts_with(prefix));
        Ok(objects.into_values().collect())
    }

    /// Deletes the file `name`, and returns whether there was one.
    ///
    /// # Errors
    ///
    /// Those of [`Workspace`].
    ///
    /// # Cancel safety
    ///
    /// Once polled, it goes on to its end in the background.
    pub async fn delete(&self, name: impl AsRef<str>) -> Result<bool> {
        let (bucket, name) = (self.bucket.clone(), name.as_ref().to_owned());
        let deleting = async move { metadata::delete(&bucket, &name).await };
        match tokio::spawn(deleting).await {
            Ok(deleted) => deleted,
            Err(error) => Err(self.bucket().failed("write", error)),
        }
    }

    /// Deletes the files whose names begin with `prefix`, and returns how many there were.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the prefix is empty, which would be all files; those of [`Workspace`], after
    /// which some may be deleted.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have deleted some of them.
    pub async fn delete_prefix(&self, prefix: impl AsRef<str>) -> Result<u64> {
        let prefix = prefix.as_ref();
        if prefix.is_empty() {
            return Err(Error::raised(
                ErrorCode::InvalidInput,
                "an empty prefix would delete every file; list() them, and delete() each",
            ));
        }
        let mut deleted = 0;
        for object in self.list(prefix).await? {
            deleted += u64::from(self.delete(&object.name).await?);
        }
        Ok(deleted)
    }

    /// What happens to the files whose names begin with `prefix`: first those there are, then every
    /// change. See [`ObjectWatch`].
    ///
    /// # Errors
    ///
    /// Those of [`ObjectWatch`].
    pub fn watch(&self, prefix: impl AsRef<str>) -> ObjectWatch {
        ObjectWatch::new(self, prefix.as_ref())
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}
