//! Files and directories that only this user of the machine can read.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::path::Path;

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
    let written = || -> io::Result<()> {
        let directory = directory_of(path);
        // Temporary files are private to their owner.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync(directory)
    };
    written().map_err(AuthError::io("write", path))
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
