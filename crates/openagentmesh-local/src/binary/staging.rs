//! The directory in which an installation is prepared, and helpers to verify its content.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest;
use tempfile::TempDir;

use crate::LocalError;
use crate::background::Cancellation;
use crate::directory::{FileLock, create_private, remove};
use crate::platform::SERVER_FILE_NAME;

/// Maximum wait for another process's installation. Its own timeouts are shorter.
const INSTALL_LOCK_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Prefix of the names of staging directories.
const STAGING_PREFIX: &str = ".install-";

/// The installation lock, and a directory on the target file system to prepare the program in.
///
/// Work on the blocking pool holds an `Arc` of this, so that the directory outlives it.
#[derive(Debug)]
pub(super) struct Staging {
    // Drop order: the directory is removed before the lock is released.
    directory: TempDir,
    _lock: FileLock,
}

impl Staging {
    /// Waits for other installations, and removes the directories of crashed ones.
    pub(super) fn enter(binaries: &Path, cancellation: &Cancellation) -> Result<Self, LocalError> {
        create_private(binaries)?;
        let lock = FileLock::acquire(
            &binaries.join(".install.lock"),
            INSTALL_LOCK_TIMEOUT,
            cancellation,
        )?;
        for entry in std::fs::read_dir(binaries).map_err(LocalError::io("read", binaries))? {
            let entry = entry.map_err(LocalError::io("read", binaries))?;
            let path = entry.path();
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(STAGING_PREFIX)
                && path.is_dir()
            {
                remove(&path)?;
            }
        }
        let directory = tempfile::Builder::new()
            .prefix(STAGING_PREFIX)
            .tempdir_in(binaries)
            .map_err(LocalError::io("create a directory in", binaries))?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    /// The staging directory.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The SHA-256 of a file as lower-case hex.
pub(super) fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = digest::Context::new(&digest::SHA256);
    let mut file = File::open(path)?;
    let mut buffer = [0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hex(hasher.finish().as_ref()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The first file called `nats-server`, at most `depth` directories below `directory`.
pub(super) fn find_below(directory: &Path, depth: usize) -> std::io::Result<Option<PathBuf>> {
    let mut inner = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() && entry.file_name() == SERVER_FILE_NAME {
            return Ok(Some(entry.path()));
        }
        if kind.is_dir() && depth > 0 {
            inner.push(entry.path());
        }
    }
    for directory in inner {
        if let Some(found) = find_below(&directory, depth - 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
