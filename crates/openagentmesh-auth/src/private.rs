//! Files and directories that only this user of the machine can read.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::AuthError;

/// Creates a directory and its parents. Those that exist are not changed.
pub(crate) fn create_directory(path: &Path) -> Result<(), AuthError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(AuthError::io("create", path))
}

/// Writes a file, readable by this user only from its first byte on. The file is complete or, after an error or a crash, as it
/// was before.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), AuthError> {
    Reserved::new(path, 0)?.write(text)
}

/// The place of a file that is written later, as by [`write`].
#[derive(Debug)]
pub(crate) struct Reserved {
    path: PathBuf,
    /// Beside the place. It is removed if nothing is written.
    file: NamedTempFile,
}

impl Reserved {
    /// Reserves the place at `path`, with `room` bytes on the disk.
    pub(crate) fn new(path: &Path, room: usize) -> Result<Self, AuthError> {
        let reserved = || -> io::Result<NamedTempFile> {
            if path.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            // Temporary files are private to their owner.
            let mut file = NamedTempFile::new_in(directory_of(path))?;
            file.write_all(&vec![b' '; room])?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        Ok(Self {
            file: reserved().map_err(AuthError::io("write", path))?,
            path: path.to_owned(),
        })
    }

    pub(crate) fn write(self, text: &str) -> Result<(), AuthError> {
        let Self { path, mut file } = self;
        let written = || -> io::Result<()> {
            file.rewind()?;
            file.write_all(text.as_bytes())?;
            let length = file.stream_position()?;
            file.as_file().set_len(length)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            sync(directory_of(&path))
        };
        written().map_err(AuthError::io("write", &path))
    }
}

/// Reads a file of at most `max` bytes.
pub(crate) fn read(path: &Path, max: usize) -> Result<String, AuthError> {
    let mut text = String::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(AuthError::io("read", path))?;
    match text.len() <= max {
        true => Ok(text),
        false => Err(AuthError::malformed(
            path.display().to_string(),
            "the file is too long; use the file as it was written",
        )),
    }
}

/// Makes a rename in the directory durable.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    // Windows has no handle of a directory to flush.
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

/// The directory in which the file is.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
