//! The files in `~/.agentmesh`.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::failure::Failure;

/// A file or directory, and the bytes in it.
#[derive(Debug, Serialize)]
pub(super) struct Removal {
    #[serde(serialize_with = "lossy")]
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// A directory that stays.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    #[serde(serialize_with = "lossy")]
    pub(super) path: PathBuf,
    pub(super) reason: Reason,
}

/// The reason why a directory stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// The data of a mesh that was started with --data.
    Data,
    /// The keys of a mesh with users.
    Keys,
    /// The mesh of a program that runs.
    InUse,
}

impl Reason {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Data => "data of a mesh",
            Self::Keys => "keys of a mesh with users",
            Self::InUse => "in use by a running program",
        }
    }
}

/// `~/.agentmesh` without symbolic links, and its parts.
#[derive(Debug)]
pub(super) struct Installation {
    directory: PathBuf,
}

impl Installation {
    /// The directory of this user; `None` if there is none.
    pub(super) fn find() -> Result<Option<Self>, Failure> {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let home =
            home.ok_or_else(|| Failure::local("cannot find the home directory: set HOME"))?;
        match home.join(".agentmesh").canonicalize() {
            Ok(directory) => Ok(Some(Self { directory })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::local(format!(
                "cannot read {}: {error}",
                home.join(".agentmesh").display()
            ))),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directories that stay: those of kept data, of keys, and of temporary meshes that a program uses.
    pub(super) fn kept(&self) -> Result<Vec<Kept>, Failure> {
        let mut kept = Vec::new();
        for file in children(&self.directory.join("kept"))? {
            if let Some(path) = kept_data(&file) {
                let reason = Reason::Data;
                kept.push(Kept { path, reason });
            }
        }
        for path in children(&self.directory.join("auth"))? {
            let reason = Reason::Keys;
            kept.push(Kept { path, reason });
        }
        for path in children(&self.directory.join("run"))? {
            if is_locked(&path.join("owner.lock")) {
                let reason = Reason::InUse;
                kept.push(Kept { path, reason });
            }
        }
        Ok(kept)
    }

    /// The parts that are removed.
    pub(super) fn removals(&self, kept: &[Kept]) -> Result<Vec<Removal>, Failure> {
        let mut removals = Vec::new();
        for path in children(&self.directory)? {
            if !kept.iter().any(|kept| path.starts_with(&kept.path)) {
                let bytes = size(&path, kept)?;
                removals.push(Removal { path, bytes });
            }
        }
        Ok(removals)
    }

    /// Removes everything but `kept`.
    pub(super) fn remove(&self, kept: &[Kept]) -> Result<(), Failure> {
        remove(&self.directory, kept)
    }
}

/// A path as text. JSON has no other form.
pub(super) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// The data directory that a file in `kept` names, if it exists.
fn kept_data(file: &Path) -> Option<PathBuf> {
    let memory: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Path::new(memory["data"].as_str()?).canonicalize().ok()
}

/// Whether a process holds the lock of a directory.
fn is_locked(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The entries of a directory, sorted; none if it does not exist.
fn children(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failure = |error| Failure::local(format!("cannot read {}: {error}", directory.display()));
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failure(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(failure)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn is_kept(path: &Path, kept: &[Kept]) -> bool {
    kept.iter().any(|kept| kept.path == path)
}

/// Whether `path` is a directory, and not a link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The bytes in `path` without those that stay.
fn size(path: &Path, kept: &[Kept]) -> Result<u64, Failure> {
    if is_kept(path, kept) {
        return Ok(0);
    }
    if !is_directory(path) {
        return Ok(fs::symlink_metadata(path).map_or(0, |metadata| metadata.len()));
    }
    let sizes: Result<Vec<u64>, Failure> = children(path)?
        .iter()
        .map(|child| size(child, kept))
        .collect();
    Ok(sizes?.iter().sum())
}

fn remove(path: &Path, kept: &[Kept]) -> Result<(), Failure> {
    if is_kept(path, kept) {
        return Ok(());
    }
    let removed = if kept.iter().any(|kept| kept.path.starts_with(path)) {
        for child in children(path)? {
            remove(&child, kept)?;
        }
        return Ok(());
    } else if is_directory(path) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::local(format!(
            "cannot remove {}: {error}",
            path.display()
        ))),
        _ => Ok(()),
    }
}
