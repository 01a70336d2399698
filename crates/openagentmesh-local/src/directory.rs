//! Private directories and the file locks that say who may touch them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::LocalError;
use crate::background::Cancellation;

/// How often a lock that somebody else holds is tried again.
const LOCK_POLL: Duration = Duration::from_millis(2);

/// The lock file in a directory that some process owns.
const OWNER_LOCK: &str = "owner.lock";

/// Creates a directory, and its parents, that only this user may enter.
pub(crate) fn create_private(path: &Path) -> Result<(), LocalError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(LocalError::io("create", path))
}

/// Options for files that only this user may read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A name for a server's directory that no other one has, ever.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The directories in `parent` that bear a name made by [`new_id`]; none if there is no `parent`.
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

/// Removes a directory and what is in it; not finding it is success, because that is the goal.
pub(crate) fn remove(path: &Path) -> Result<(), LocalError> {
    const TRIES: usize = 5;
    let mut tries = 0;
    loop {
        tries += 1;
        match std::fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(_) if !path.exists() => return Ok(()),
            // Somebody else is removing the same directory, or claimed it just now.
            Err(failure)
                if tries < TRIES
                    && matches!(
                        failure.kind(),
                        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
                    ) => {}
            Err(failure) => return Err(LocalError::io("remove", path)(failure)),
        }
    }
}

/// An exclusive lock on a file, held until dropped, by this process or none.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

impl FileLock {
    /// Waits at most `patience` for the lock on the file `path`, which is created if need be.
    pub(crate) fn acquire(
        path: &Path,
        patience: Duration,
        cancellation: &Cancellation,
    ) -> Result<Self, LocalError> {
        let deadline = Instant::now() + patience;
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
                        waited: patience,
                    });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(failure)) => {
                    return Err(LocalError::io("lock", path)(failure));
                }
            }
            cancellation.check()?;
            std::thread::sleep(LOCK_POLL);
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the file would do, but not at once: a child that another thread is just
        // starting holds a copy of it for a moment.
        if let Err(failure) = self.file.unlock() {
            tracing::warn!(%failure, "a file lock was not released in order");
        }
    }
}

/// A server's directory that belongs to this process: nobody else touches it, and it goes when
/// this is dropped.
///
/// The claim is a lock on a file in it. The operating system lets go of it when the process ends,
/// however it ends, and that is how others see that the owner is gone. Children do not inherit it.
#[derive(Debug)]
pub(crate) struct OwnedDirectory {
    path: PathBuf,
    lock: Option<FileLock>,
}

impl OwnedDirectory {
    /// Creates a directory in `parent`. The caller must hold the lock that guards `parent`, since
    /// for a moment the new directory looks as if nobody owned it.
    pub(crate) fn create(parent: &Path) -> Result<Self, LocalError> {
        let path = parent.join(new_id());
        create_private(&path)?;
        // From here on dropping it removes the directory.
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

    /// Takes over a directory whose owner is gone; `None` if it has one, or is gone itself.
    /// The caller must hold the lock that guards the parent directory.
    pub(crate) fn claim(path: PathBuf) -> Result<Option<Self>, LocalError> {
        let lock_path = path.join(OWNER_LOCK);
        // The file is missing if its owner ended while creating or while removing the directory.
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

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory and lets go of it.
    pub(crate) fn remove(mut self) -> Result<(), LocalError> {
        self.remove_now()
    }

    /// Lets go of the directory without removing it.
    pub(crate) fn release(mut self) {
        self.path = PathBuf::new();
    }

    fn remove_now(&mut self) -> Result<(), LocalError> {
        let path = std::mem::take(&mut self.path);
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let removed = remove(&path);
        // Where an open file keeps its directory in place, the lock has to go first.
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
            tracing::warn!(%failure, "a local server's directory was left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_lock_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let patience = Duration::from_millis(10);
        let cancellation = Cancellation::default();
        let held = FileLock::acquire(&path, patience, &cancellation).unwrap();
        let refused = FileLock::acquire(&path, patience, &cancellation).unwrap_err();
        assert!(matches!(refused, LocalError::Locked { .. }), "{refused}");
        drop(held);
        FileLock::acquire(&path, patience, &cancellation).unwrap();
    }

    #[test]
    fn a_directory_has_one_owner_and_goes_with_it() {
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
