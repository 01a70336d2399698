//! Data that meshes have left.

use std::io;
use std::path::{Path, PathBuf};

use openagentmesh_name::Visible;

use super::directory::{DataDirectory, STORE, canonical};
use super::marker::Marker;
use super::memory::{self, Memory};
use crate::background::Cancellation;
use crate::home::Home;
use crate::{LocalError, background};

/// The data of a mesh that was started with a data directory, for example by `oam mesh up --data DIR`.
///
/// The directory has a file that marks it, a lock that the running servers hold, and the JetStream stores. Other files
/// in the directory are never changed.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::KeptData;
///
/// for data in KeptData::of_directory("/work/project").await? {
///     println!("data is kept in {}", data.path().display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptData {
    path: PathBuf,
    nodes: Option<usize>,
    /// The file that remembers the directory of the start.
    memory: PathBuf,
}

impl KeptData {
    /// The data of the meshes that were started in `directory`, the last one first. Data that is gone is forgotten.
    ///
    /// # Errors
    ///
    /// [`LocalError::NoHome`] if the home directory is unknown; [`LocalError::Io`] if `~/.agentmesh/kept` cannot be
    /// read; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let kept = openagentmesh_local::KeptData::of_directory("/work/project").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn of_directory(directory: impl Into<PathBuf>) -> Result<Vec<Self>, LocalError> {
        let directory = directory.into();
        let home = Home::new(None)?;
        background::run(move |_| Self::find(&home, &directory)).await
    }

    /// The data in the directory `path`.
    ///
    /// # Errors
    ///
    /// [`LocalError::DataUnusable`] if the directory has no data of a mesh; [`LocalError::NoHome`] and
    /// [`LocalError::Io`]; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// let kept = openagentmesh_local::KeptData::at("/work/project/data").await?;
    /// kept.purge().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn at(path: impl Into<PathBuf>) -> Result<Self, LocalError> {
        let path = path.into();
        let home = Home::new(None)?;
        background::run(move |_| {
            let path = std::path::absolute(&path).map_err(LocalError::io("resolve", &path))?;
            let marker = match Marker::read(&path)? {
                Some(marker) => marker,
                None => {
                    return Err(LocalError::DataUnusable {
                        path,
                        reason: "no data of a mesh is in it".to_owned(),
                    });
                }
            };
            Ok(Self {
                path: canonical(&path)?,
                nodes: marker.nodes(),
                memory: memory::file_of(&home, &marker),
            })
        })
        .await
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of servers of the cluster that the data belongs to; `None` for a single server.
    pub fn nodes(&self) -> Option<usize> {
        self.nodes
    }

    /// The size of the stored data on the disk, in bytes.
    ///
    /// # Errors
    ///
    /// [`LocalError::Io`] if a directory cannot be read; [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(kept: openagentmesh_local::KeptData)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// println!("{} bytes", kept.size_bytes().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn size_bytes(&self) -> Result<u64, LocalError> {
        let store = self.path.join(STORE);
        background::run(move |cancellation| size(&store, cancellation)).await
    }

    /// Deletes the data: everything that the servers have made in the directory, and the directory if it is empty then.
    ///
    /// # Errors
    ///
    /// [`LocalError::DataInUse`] if a server serves the data; [`LocalError::DataUnusable`],
    /// [`LocalError::DataOfOtherNodes`] if the directory has changed; [`LocalError::Io`] if a file cannot be removed;
    /// [`LocalError::Interrupted`] if the runtime is stopping.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the deletion continues in the background if the future is dropped.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example(kept: openagentmesh_local::KeptData)
    /// # -> Result<(), openagentmesh_local::LocalError> {
    /// kept.purge().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn purge(&self) -> Result<(), LocalError> {
        let kept = self.clone();
        background::run(move |_| {
            if Marker::read(&kept.path)?.is_some() {
                DataDirectory::open(&kept.path, kept.nodes)?.remove()?;
            }
            memory::forget(&kept.memory);
            Ok(())
        })
        .await
    }

    /// The data of the meshes that were started in `directory`.
    pub(crate) fn find(home: &Home, directory: &Path) -> Result<Vec<Self>, LocalError> {
        let parent = home.kept_data();
        let entries = match std::fs::read_dir(&parent) {
            Ok(entries) => entries,
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(failure) => return Err(LocalError::io("read", &parent)(failure)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let file = entry.map_err(LocalError::io("read", &parent))?.path();
            let Some(Memory {
                data,
                started_in,
                served_at,
            }) = memory::recall(&file)
            else {
                continue;
            };
            match Marker::read(&data) {
                Ok(Some(marker)) if file == memory::file_of(home, &marker) => {
                    if started_in == directory {
                        let kept = Self {
                            path: data,
                            nodes: marker.nodes(),
                            memory: file,
                        };
                        found.push((served_at, kept));
                    }
                }
                Ok(_) => memory::forget(&file),
                // The data may be readable again later.
                Err(failure) => {
                    tracing::debug!(failure = %Visible(&failure), "cannot read a data directory");
                }
            }
        }
        found.sort_by_key(|(served_at, _)| std::cmp::Reverse(*served_at));
        Ok(found.into_iter().map(|(_, kept)| kept).collect())
    }
}

/// The size of all files in a directory, which need not exist. Links are not followed.
fn size(directory: &Path, cancellation: &Cancellation) -> Result<u64, LocalError> {
    let mut bytes = 0;
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        cancellation.check()?;
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => continue,
            Err(failure) => return Err(LocalError::io("read", &directory)(failure)),
        };
        for entry in entries {
            let entry = entry.map_err(LocalError::io("read", &directory))?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => directories.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                // Removed by its server.
                Err(_) => {}
            }
        }
    }
    Ok(bytes)
}
