//! Private directories, and the file locks that guard them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::LocalError;
use crate::background::Cancellation;
use openagentmesh_name::Visible;

/// Interval between attempts to take a held lock.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The lock file in an owned directory.
const OWNER_LOCK: &str = "owner.lock";

/// Creates a directory and its parents, accessible to this user only.
pub(crate) fn create_private(path: &Path) -> Result<(), LocalError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(LocalError::io("create", path))
}

/// Options for files that only this user can read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A unique random name for a server's directory.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The directories in `parent` with a name like those of [`new_id`]; none if `parent` does not exist.
pub(crate) fn server_directories(parent: &Path) -> Result<Vec<PathBuf>, LocalError> {
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(failure) => return Err(LocalError::io("read", parent)(failure)),
    };
    let mut directories = Vec::new();
    for entry in entries {
        let path = entry.map_err(LocalError::io("read", parent))?.path();
        let is_id = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()));
        if is_id && path.is_dir() {
            directories.push(path);
        }
    }
    Ok(directories)
}

/// Removes a directory and its content. A missing directory is success.
pub(crate) fn remove(path: &Path) -> Result<(), LocalError> {
    const MAX_ATTEMPTS: usize = 5;
    let mut attempts = 0;
    loop {
        attempts += 1;
        match std::fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(_) if !path.exists() => return Ok(()),
            // Another process is removing the same directory or has just claimed it.
            Err(failure)
                if attempts < MAX_ATTEMPTS
                    && matches!(
                        failure.kind(),
                        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                    ) => {}
            Err(failure) => return Err(LocalError::io("remove", path)(failure)),
        }
    }
}

/// An exclusive lock on a file, released on drop or when the process ends.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

impl FileLock {
    /// Waits at most `timeout` for the lock on the file `path`, which is created if missing.
    pub(crate) fn acquire(
        path: &Path,
        timeout: Duration,
        cancellation: &Cancellation,
    ) -> Result<Self, LocalError> {
        let deadline = Instant::now() + timeout;
        let file = private_file()
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(LocalError::io("open", path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(LocalError::Locked {
                        path: path.to_owned(),
                        waited: timeout,
                    });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(failure)) => {
                    return Err(LocalError::io("lock", path)(failure));
                }
            }
            cancellation.check()?;
            std::thread::sleep(LOCK_POLL_INTERVAL);
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the file also releases the lock, but later: a child that another thread has just
        // forked holds a copy of the file until it calls exec.
        if let Err(failure) = self.file.unlock() {
            tracing::warn!(failure = %Visible(&failure), "cannot release a file lock");
        }
    }
}

/// A server's directory, owned by this process and removed on drop.
///
/// Ownership is a lock on a file in the directory. The operating system releases the lock when the
/// process ends for any reason, so other processes can tell that the owner is gone. Children do not
/// inherit the lock.
#[derive(Debug)]
pub(crate) struct OwnedDirectory {
    path: PathBuf,
    lock: Option<FileLock>,
}

impl OwnedDirectory {
    /// Creates a directory in `parent`. The caller must hold the lock that guards `parent`, because
    /// the new directory looks abandoned until its own lock is taken.
    pub(crate) fn create(parent: &Path) -> Result<Self, LocalError> {
        let path = parent.join(new_id());
        create_private(&path)?;
        // From here on, drop removes the directory.
        let mut owned = Self { path, lock: None };
        let lock_path = owned.path.join(OWNER_LOCK);
        let lock = private_file()
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(LocalError::io("create", &lock_path))?;
        lock.try_lock()
            .map_err(io::Error::from)
            .map_err(LocalError::io("lock", &lock_path))?;
        owned.lock = Some(FileLock { file: lock });
        Ok(owned)
    }

    /// Takes over a directory whose owner is gone. `None` if the directory has an owner or does not
    /// exist. The caller must hold the lock that guards the parent directory.
    pub(crate) fn claim(path: PathBuf) -> Result<Option<Self>, LocalError> {
        let lock_path = path.join(OWNER_LOCK);
        // An owner that ended while creating or removing the directory left no lock file.
        let lock = match private_file().create(true).truncate(false).open(&lock_path) {
            Ok(lock) => lock,
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(failure) => return Err(LocalError::io("open", &lock_path)(failure)),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self {
                path,
                lock: Some(FileLock { file: lock }),
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(failure)) => Err(LocalError::io("lock", &lock_path)(failure)),
        }
    }

    /// The path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory and releases the lock.
    pub(crate) fn remove(mut self) -> Result<(), LocalError> {
        self.remove_now()
    }

    /// Releases the lock without removing the directory.
    pub(crate) fn release(mut self) {
        self.path = PathBuf::new();
    }

    fn remove_now(&mut self) -> Result<(), LocalError> {
        let path = std::mem::take(&mut self.path);
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let removed = remove(&path);
        // On Windows an open file keeps its directory, so the lock file is closed before a retry.
        self.lock = None;
        if removed.is_err() {
            remove(&path)
        } else {
            removed
        }
    }
}

impl Drop for OwnedDirectory {
    fn drop(&mut self) {
        if let Err(failure) = self.remove_now() {
            tracing::warn!(failure = %Visible(&failure), "cannot remove the directory of a local server");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_lock_is_an_error_after_the_timeout() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let timeout = Duration::from_millis(10);
        let cancellation = Cancellation::default();
        let held = FileLock::acquire(&path, timeout, &cancellation).unwrap();
        let failure = FileLock::acquire(&path, timeout, &cancellation).unwrap_err();
        assert!(matches!(failure, LocalError::Locked { .. }), "{failure}");
        drop(held);
        FileLock::acquire(&path, timeout, &cancellation).unwrap();
    }

    #[test]
    fn owned_directory_cannot_be_claimed_and_is_removed_on_drop() {
        let parent = tempfile::tempdir().unwrap();
        let owned = OwnedDirectory::create(parent.path()).unwrap();
        let path = owned.path().to_owned();
        assert_eq!(
            server_directories(parent.path()).unwrap(),
            std::slice::from_ref(&path)
        );
        assert!(OwnedDirectory::claim(path.clone()).unwrap().is_none());
        owned.release();
        assert!(path.exists());
        drop(OwnedDirectory::claim(path.clone()).unwrap().unwrap());
        assert!(!path.exists());
        assert!(OwnedDirectory::claim(path).unwrap().is_none());
    }
}
