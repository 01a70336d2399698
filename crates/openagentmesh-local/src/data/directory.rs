//! A data directory, locked for its servers.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use openagentmesh_name::Visible;

use super::lock::{self, DataLock};
use super::marker::{self, Marker, Nodes};
use super::memory;
use crate::LocalError;
use crate::directory::{create_private, remove};
use crate::home::Home;

/// The directory of the JetStream stores, one for each server, in a data directory.
pub(super) const STORE: &str = "store";

/// Files of operating systems, which may be in a directory for data.
const FOREIGN_FILES: [&str; 2] = ["lost+found", ".DS_Store"];

/// A data directory that this process has locked.
///
/// A server of the data gets a copy of the lock, so that the lock is held until the last server has ended, for any
/// reason. Dropping the value of a start that did not succeed removes a directory that the start has made.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    marker: Marker,
    lock: DataLock,
    /// Whether this start has made the data.
    is_new: bool,
    /// Whether this start has made the directory too.
    is_new_directory: bool,
}

impl DataDirectory {
    /// Locks the data in `path` for `nodes` servers. Makes a directory that does not exist, and the data of an empty one.
    ///
    /// # Errors
    ///
    /// [`LocalError::DataInUse`], [`LocalError::DataUnusable`], [`LocalError::DataOfOtherNodes`], [`LocalError::Io`].
    pub(crate) fn open(path: &Path, nodes: Nodes) -> Result<Self, LocalError> {
        let path = std::path::absolute(path).map_err(LocalError::io("resolve", path))?;
        if path.exists() && !path.is_dir() {
            return Err(LocalError::DataUnusable {
                path,
                reason: "not a directory".to_owned(),
            });
        }
        let is_new_directory = !path.exists();
        create_private(&path)?;
        let path = canonical(&path)?;
        if path.to_str().is_none() {
            return Err(LocalError::DataUnusable {
                path,
                reason: "the server's configuration file allows UTF-8 only".to_owned(),
            });
        }
        // No file is made in a directory of other files.
        if Marker::read(&path)?.is_none() {
            check_empty(&path)?;
        }
        let lock = DataLock::take(&path)?;
        let (marker, is_new) = match Marker::read(&path)? {
            Some(marker) => (marker, false),
            None => (Marker::create(&path, nodes)?, true),
        };
        let data = Self {
            path,
            marker,
            lock,
            is_new,
            is_new_directory,
        };
        if data.marker.nodes() != nodes {
            return Err(LocalError::DataOfOtherNodes {
                nodes: data.marker.nodes().unwrap_or(1),
                path: data.path.clone(),
            });
        }
        create_private(&data.path.join(STORE))?;
        Ok(data)
    }

    /// The canonical path of the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The JetStream store of server `index`.
    pub(crate) fn store(&self, index: usize) -> PathBuf {
        self.path.join(STORE).join((index + 1).to_string())
    }

    /// The name of the cluster; `None` for a single server.
    pub(crate) fn cluster_name(&self) -> Option<&str> {
        self.marker.cluster_name()
    }

    /// The name of server `index` of the cluster, by which the stored streams know their replicas.
    pub(crate) fn node_name(&self, index: usize) -> Option<&str> {
        self.marker.node_name(index)
    }

    /// The locked file for a server. The lock is held while the server has the file open.
    pub(crate) fn lock_file(&self) -> Result<File, LocalError> {
        self.lock.file()
    }

    /// Records the mesh that serves the data, for messages, and the directory in which it was started.
    pub(crate) fn record(
        &mut self,
        home: &Home,
        url: &str,
        started_in: Option<&Path>,
    ) -> Result<(), LocalError> {
        self.lock.describe(url, started_in);
        match started_in {
            Some(started_in) => memory::remember(home, &self.marker, &self.path, started_in),
            None => Ok(()),
        }
    }

    /// Keeps data that this start has made.
    pub(crate) fn keep(&mut self) {
        self.is_new = false;
    }

    /// Removes what the servers have made in the directory, and the directory if nothing else is in it.
    pub(super) fn remove(mut self) -> Result<(), LocalError> {
        self.is_new = false;
        self.remove_content()?;
        match std::fs::remove_dir(&self.path) {
            Err(failure) if failure.kind() != io::ErrorKind::DirectoryNotEmpty => {
                // The working directory of a shell on Windows, or the root of a volume.
                tracing::debug!(failure = %Visible(&failure), "an empty data directory is left");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn remove_content(&mut self) -> Result<(), LocalError> {
        remove(&self.path.join(STORE))?;
        marker::remove(&self.path)?;
        self.lock.remove(&self.path)
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if !self.is_new {
            return;
        }
        let removed =
            self.remove_content()
                .and_then(|()| match self.is_new_directory {
                    true => std::fs::remove_dir(&self.path)
                        .map_err(LocalError::io("remove", &self.path)),
                    false => Ok(()),
                });
        if let Err(failure) = removed {
            tracing::warn!(failure = %Visible(&failure), "cannot remove the data of a failed start");
        }
    }
}

/// The path without links, so that different spellings of a directory are one.
pub(super) fn canonical(path: &Path) -> Result<PathBuf, LocalError> {
    // On Windows, the canonical form has a prefix that other programs do not understand.
    if cfg!(windows) {
        return Ok(path.to_owned());
    }
    path.canonicalize().map_err(LocalError::io("resolve", path))
}

fn check_empty(path: &Path) -> Result<(), LocalError> {
    let entries = std::fs::read_dir(path).map_err(LocalError::io("read", path))?;
    for entry in entries {
        let name = entry.map_err(LocalError::io("read", path))?.file_name();
        let name = name.to_string_lossy();
        let is_own = lock::is_own(&name) || marker::is_own(&name);
        if !is_own && !FOREIGN_FILES.contains(&&*name) {
            return Err(LocalError::DataUnusable {
                path: path.to_owned(),
                reason: format!("it has other files, such as {}", Visible(&*name)),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn locked_data_is_in_use_until_its_last_lock_is_closed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let mut data = DataDirectory::open(&path, None).unwrap();
        data.keep();
        let server = data.lock_file().unwrap();
        drop(data);
        let failure = DataDirectory::open(&path, None).unwrap_err();
        assert!(matches!(failure, LocalError::DataInUse { .. }), "{failure}");
        drop(server);
        drop(DataDirectory::open(&path, None).unwrap());
        assert_eq!(names(&path), ["oam-mesh.json", "oam-mesh.lock", "store"]);
    }

    #[test]
    fn failed_start_removes_only_data_that_it_has_made() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        drop(DataDirectory::open(&path, None).unwrap());
        assert!(!path.exists());
        std::fs::create_dir(&path).unwrap();
        drop(DataDirectory::open(&path, None).unwrap());
        assert_eq!(names(&path), Vec::<String>::new());
        let mut data = DataDirectory::open(&path, Some(3)).unwrap();
        data.keep();
        let name = data.node_name(2).unwrap().to_owned();
        drop(data);
        let data = DataDirectory::open(&path, Some(3)).unwrap();
        assert_eq!(data.node_name(2), Some(&*name));
        drop(data);
        assert!(path.exists());
        let failure = DataDirectory::open(&path, None).unwrap_err();
        assert!(
            matches!(failure, LocalError::DataOfOtherNodes { nodes: 3, .. }),
            "{failure}"
        );
    }

    #[test]
    fn directory_of_other_files_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("mine"), "").unwrap();
        let failure = DataDirectory::open(parent.path(), None).unwrap_err();
        assert!(
            matches!(failure, LocalError::DataUnusable { .. }),
            "{failure}"
        );
        assert_eq!(names(parent.path()), ["mine"]);
        let file = parent.path().join("mine");
        let failure = DataDirectory::open(&file, None).unwrap_err();
        assert!(failure.to_string().contains("not a directory"), "{failure}");
    }

    #[test]
    fn removed_data_leaves_the_files_of_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let mut data = DataDirectory::open(&path, None).unwrap();
        data.keep();
        std::fs::create_dir_all(data.store(0).join("jetstream")).unwrap();
        std::fs::write(path.join("mine"), "").unwrap();
        data.remove().unwrap();
        assert_eq!(names(&path), ["mine"]);
    }

    #[test]
    fn marker_of_a_later_format_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        for text in ["{\"format\": 2}", "{", "[]"] {
            std::fs::write(parent.path().join("oam-mesh.json"), text).unwrap();
            let failure = DataDirectory::open(parent.path(), None).unwrap_err();
            assert!(
                matches!(failure, LocalError::DataUnusable { .. }),
                "{failure}"
            );
        }
    }
}
