//! Local files that uploads read and downloads write.

use std::path::{Path, PathBuf};

use openagentmesh_protocol::{ErrorCode, RequestId};

use crate::error::Error;

/// A file that is removed when it is dropped, unless it was renamed before.
pub(super) struct PartialFile {
    path: PathBuf,
}

impl PartialFile {
    /// Creates a hidden file in the directory of `path`.
    pub(super) async fn create(path: &Path) -> std::io::Result<(tokio::fs::File, Self)> {
        let id = RequestId::random().to_string();
        let name = format!(".oam-{}.part", id.get(..8).unwrap_or(&id));
        let path = path.with_file_name(name);
        // If this future is dropped, the task drops its result and thereby removes the file.
        let create = move || {
            let file = std::fs::File::create_new(&path)?;
            Ok((file, Self { path }))
        };
        let created: std::io::Result<_> = tokio::task::spawn_blocking(create).await?;
        let (file, partial) = created?;
        Ok((tokio::fs::File::from_std(file), partial))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // Fails after a rename: there is nothing left to remove.
        drop(std::fs::remove_file(&self.path));
    }
}

pub(super) fn cannot_read(source: &str, error: std::io::Error) -> Error {
    let message = format!("cannot read {source} for the upload: {error}");
    Error::raised(ErrorCode::IoError, message).with_source(error)
}

pub(super) fn cannot_write(target: &str, error: std::io::Error) -> Error {
    let message = format!("cannot write the download to {target}: {error}");
    Error::raised(ErrorCode::IoError, message).with_source(error)
}
