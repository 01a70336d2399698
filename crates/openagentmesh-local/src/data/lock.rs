//! The lock of a data directory, which its servers hold.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use openagentmesh_name::Visible;
use serde::{Deserialize, Serialize};

use crate::LocalError;
use crate::directory::private_file;

/// The name of the locked file.
const LOCK_FILE: &str = "oam-mesh.lock";

/// Maximum number of attempts while another process removes the file.
const MAX_ATTEMPTS: usize = 10;

/// Maximum length of the description in the file, in bytes.
const MAX_DESCRIPTION_BYTES: u64 = 64 * 1024;

/// Interval between two attempts to take a lock that is about to become free.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits at most for `timeout` until the lock of the data in `directory` is free. The servers that held it have ended: the
/// operating system closes their files a moment later.
pub(crate) fn wait_until_free(directory: &Path, timeout: Duration) {
    let deadline = Instant::now() + timeout;
    // Without the file, nobody holds the lock.
    while directory.join(LOCK_FILE).exists() {
        match DataLock::take(directory) {
            Err(LocalError::DataInUse { .. }) if Instant::now() < deadline => {
                std::thread::sleep(POLL_INTERVAL);
            }
            Ok(_lock) => return,
            // Whoever uses the data next reports it.
            Err(failure) => {
                tracing::debug!(failure = %Visible(&failure), "the lock of the data is not free");
                return;
            }
        }
    }
}

/// The description of the mesh that holds the lock, for messages.
#[derive(Serialize, Deserialize)]
struct Holder {
    url: String,
    started_in: Option<PathBuf>,
}

/// The locked file of a data directory. All copies of it, also those of other processes, hold the lock.
#[derive(Debug)]
pub(super) struct DataLock {
    file: File,
}

impl DataLock {
    /// # Errors
    ///
    /// [`LocalError::DataInUse`] if a process holds the lock.
    pub(super) fn take(directory: &Path) -> Result<Self, LocalError> {
        let path = directory.join(LOCK_FILE);
        for _ in 0..MAX_ATTEMPTS {
            let Some(file) = locked(&path).map_err(LocalError::io("lock", &path))? else {
                return Err(LocalError::DataInUse {
                    path: directory.to_owned(),
                    holder: holder(&path),
                });
            };
            // The holder before may have removed the file.
            if is_at(&file, &path) {
                return Ok(Self { file });
            }
        }
        Err(LocalError::DataInUse {
            path: directory.to_owned(),
            holder: holder(&path),
        })
    }

    pub(super) fn file(&self) -> Result<File, LocalError> {
        self.file
            .try_clone()
            .map_err(LocalError::io("open again", Path::new(LOCK_FILE)))
    }

    /// Describes the mesh that holds the lock. A failure has no effect but on a message.
    pub(super) fn describe(&mut self, url: &str, started_in: Option<&Path>) {
        let holder = Holder {
            url: url.to_owned(),
            started_in: started_in.map(Path::to_owned),
        };
        let mut write = || {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(&serde_json::to_vec(&holder)?)
        };
        if let Err(failure) = write() {
            tracing::debug!(%failure, "cannot describe the holder of a data directory");
        }
    }

    /// Removes the file. The lock protects the rest of the directory until the value is dropped.
    pub(super) fn remove(&mut self, directory: &Path) -> Result<(), LocalError> {
        let path = directory.join(LOCK_FILE);
        // Windows does not remove a file that is open without sharing.
        if cfg!(windows) {
            self.file = tempfile::tempfile().map_err(LocalError::io("close", &path))?;
        }
        match std::fs::remove_file(&path) {
            Err(failure) if failure.kind() != io::ErrorKind::NotFound => {
                Err(LocalError::io("remove", &path)(failure))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn is_own(name: &str) -> bool {
    name == LOCK_FILE
}

/// The locked file; `None` if a process holds the lock.
///
/// The lock belongs to the open file, which a server inherits, and not to a process.
#[cfg(not(windows))]
fn locked(path: &Path) -> io::Result<Option<File>> {
    use std::fs::TryLockError;

    let file = private_file().create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(failure)) => Err(failure),
    }
}

/// The file, opened without sharing; `None` if a process has it open. A lock would belong to one process.
#[cfg(windows)]
fn locked(path: &Path) -> io::Result<Option<File>> {
    use std::os::windows::fs::OpenOptionsExt as _;

    const ERROR_SHARING_VIOLATION: i32 = 32;
    let opened = private_file()
        .create(true)
        .truncate(false)
        .share_mode(0)
        .open(path);
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(failure) if failure.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Whether `path` still leads to `file`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(file), Ok(path)) => identity(file) == identity(path),
        _ => false,
    }
}

/// An open file without sharing cannot be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

/// The description of the mesh that holds the lock.
fn holder(path: &Path) -> String {
    let read = || {
        let mut json = Vec::new();
        let file = File::open(path).ok()?;
        file.take(MAX_DESCRIPTION_BYTES)
            .read_to_end(&mut json)
            .ok()?;
        serde_json::from_slice::<Holder>(&json).ok()
    };
    match read() {
        Some(Holder {
            url,
            started_in: Some(started_in),
        }) => format!("the mesh at {url}, started in {},", started_in.display()),
        Some(Holder { url, .. }) => format!("the server at {url}"),
        None => "another server".to_owned(),
    }
}
