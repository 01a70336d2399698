//! The memory of the directories in which the meshes of kept data were started.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use openagentmesh_name::Visible;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::marker::Marker;
use crate::LocalError;
use crate::directory::{create_private, private_file};
use crate::home::Home;

/// The content of a file in the directory of [`Home::kept_data`], one for each data directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    pub(super) data: PathBuf,
    pub(super) started_in: PathBuf,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) served_at: OffsetDateTime,
}

/// Remembers that a mesh of `data` was started in `started_in`.
pub(super) fn remember(
    home: &Home,
    marker: &Marker,
    data: &Path,
    started_in: &Path,
) -> Result<(), LocalError> {
    let parent = home.kept_data();
    create_private(&parent)?;
    let path = file_of(home, marker);
    let memory = Memory {
        data: data.to_owned(),
        started_in: started_in.to_owned(),
        served_at: OffsetDateTime::now_utc(),
    };
    let write = || {
        let json = serde_json::to_vec_pretty(&memory)?;
        let mut options = private_file();
        let mut file = options.create(true).truncate(true).open(&path)?;
        file.write_all(&json)
    };
    write().map_err(LocalError::io("write", &path))
}

/// The file that remembers the data with `marker`.
pub(super) fn file_of(home: &Home, marker: &Marker) -> PathBuf {
    // The id may come from another program.
    let id: String = marker
        .id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    home.kept_data().join(format!("{id}.json"))
}

/// The content of a memory; `None` if it cannot be read, or is being written.
pub(super) fn recall(path: &Path) -> Option<Memory> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Removes a memory.
pub(super) fn forget(memory: &Path) {
    if let Err(failure) = std::fs::remove_file(memory)
        && failure.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(failure = %Visible(&failure), "cannot forget a data directory");
    }
}
