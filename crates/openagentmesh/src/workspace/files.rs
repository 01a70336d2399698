//! The workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use openagentmesh_protocol::ErrorCode;
use tokio::io::AsyncRead;

use super::download::Download;
use super::metadata::{self, ObjectInfo, Version, all_objects};
use super::upload::{Source, Upload};
use super::watch::{ObjectChange, ObjectWatch};
use crate::error::{Error, Result};
use crate::store::{ObjectBucket, SharedBucket, latest};
use crate::util::operation::Operation;

/// The shared files of the mesh; returned by [`Client::workspace`](crate::Client::workspace). Cheap to clone.
///
/// A name is any non-empty text; a prefix is the beginning of names, such as `reports/`. Files of any size
/// are transferred in constant memory. Downloads are checked against the digest of the upload. An
/// interrupted upload leaves the previous version unchanged.
///
/// # Errors
///
/// Every method fails with
///
/// * `invalid_input` when the name is empty or longer than 2048 bytes;
/// * `connection_failed` when the server does not answer, or a transfer makes no progress;
/// * `connection_denied` when the server does not permit the operation to this user;
/// * `storage_error` when the server refuses the operation, or stored metadata is malformed.
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

    /// Writes `content` to the file `name`, and replaces the previous version. See [`Upload`].
    ///
    /// # Errors
    ///
    /// Those of [`Upload`].
    pub fn put(&self, name: impl AsRef<str>, content: impl Into<Bytes>) -> Upload<'static> {
        Upload::new(&self.bucket, name.as_ref(), Source::Bytes(content.into()))
    }

    /// Writes everything read from `reader` to the file `name`. See [`Upload`].
    ///
    /// # Errors
    ///
    /// Those of [`Upload`].
    pub fn put_reader<'r>(
        &self,
        name: impl AsRef<str>,
        reader: impl AsyncRead + Send + Unpin + 'r,
    ) -> Upload<'r> {
        Upload::new(
            &self.bucket,
            name.as_ref(),
            Source::Reader(Box::new(reader)),
        )
    }

    /// Writes the content of the local file at `path` to the file `name`. See [`Upload`].
    ///
    /// # Errors
    ///
    /// Those of [`Upload`].
    pub fn put_file(&self, name: impl AsRef<str>, path: impl Into<PathBuf>) -> Upload<'static> {
        Upload::new(&self.bucket, name.as_ref(), Source::File(path.into()))
    }

    /// Downloads the file `name`. See [`Download`].
    ///
    /// # Errors
    ///
    /// Those of [`Download`].
    pub fn get(&self, name: impl AsRef<str>) -> Download<'static> {
        Download::new(&self.bucket, name.as_ref())
    }

    /// The metadata of the file `name`; `None` if the file does not exist.
    ///
    /// # Errors
    ///
    /// Those of [`Workspace`]. Cancel-safe.
    pub fn info(&self, name: impl AsRef<str>) -> Operation<'static, Option<ObjectInfo>> {
        self.operation(name, |files, name| async move {
            let version = Version::read(files.bucket(), &name).await?;
            let meta = version.meta()?;
            Ok(meta.map(|(meta, modified)| ObjectInfo::new(meta.clone(), modified)))
        })
    }

    /// The metadata of the files whose names start with `prefix`, sorted by name; `""` lists all files.
    ///
    /// # Errors
    ///
    /// Those of [`Workspace`]. Cancel-safe.
    pub fn list(&self, prefix: impl AsRef<str>) -> Operation<'static, Vec<ObjectInfo>> {
        self.operation(prefix, |files, prefix| async move {
            files.current(&prefix).await
        })
    }

    async fn current(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let messages = latest::list(self.bucket(), all_objects(), false).await?;
        let mut objects = BTreeMap::new();
        for message in messages {
            match ObjectChange::parse(&message) {
                Some(ObjectChange::Put(object)) => {
                    drop(objects.insert(object.name.clone(), object))
                }
                Some(ObjectChange::Deleted { name }) => drop(objects.remove(&name)),
                None => {}
            }
        }
        objects.retain(|name, _| name.starts_with(prefix));
        Ok(objects.into_values().collect())
    }

    /// Deletes the file `name`, and returns whether it existed.
    ///
    /// # Errors
    ///
    /// Those of [`Workspace`].
    ///
    /// # Cancel safety
    ///
    /// Once polled, the deletion continues in the background when the future is dropped.
    pub fn delete(&self, name: impl AsRef<str>) -> Operation<'static, bool> {
        self.operation(
            name,
            |files, name| async move { files.delete_one(name).await },
        )
    }

    async fn delete_one(&self, name: String) -> Result<bool> {
        let bucket = self.bucket.clone();
        let deleting = async move { metadata::delete(&bucket, &name).await };
        match tokio::spawn(deleting).await {
            Ok(deleted) => deleted,
            Err(error) => Err(self.bucket().failed("write", error)),
        }
    }

    /// Deletes the files whose names start with `prefix`, and returns their number.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the prefix is empty and would match all files; those of [`Workspace`], after
    /// which some files may be deleted.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped may have deleted some of the files.
    pub fn delete_prefix(&self, prefix: impl AsRef<str>) -> Operation<'static, u64> {
        self.operation(prefix, |files, prefix| async move {
            files.delete_all(&prefix).await
        })
    }

    async fn delete_all(&self, prefix: &str) -> Result<u64> {
        if prefix.is_empty() {
            return Err(Error::raised(
                ErrorCode::InvalidInput,
                "invalid prefix '': it would delete every file; list() them and delete() each",
            ));
        }
        let mut deleted = 0;
        for object in self.current(prefix).await? {
            deleted += u64::from(self.delete_one(object.name).await?);
        }
        Ok(deleted)
    }

    /// An operation on a name or prefix, with a handle of its own.
    fn operation<T, F>(
        &self,
        name: impl AsRef<str>,
        start: impl FnOnce(Self, String) -> F,
    ) -> Operation<'static, T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Operation::new(start(self.clone(), name.as_ref().to_owned()))
    }

    /// Watches the files whose names start with `prefix`: the current files, then every change. See
    /// [`ObjectWatch`].
    ///
    /// # Errors
    ///
    /// Those of [`ObjectWatch`].
    pub fn watch(&self, prefix: impl AsRef<str>) -> ObjectWatch {
        ObjectWatch::new(&self.bucket, prefix.as_ref())
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").finish_non_exhaustive()
    }
}
