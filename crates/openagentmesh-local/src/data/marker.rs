//! The file that marks a directory as the data of a mesh.

use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::LocalError;
use crate::directory::new_id;

/// The name of the file.
const MARKER_FILE: &str = "oam-mesh.json";

/// The name of an unfinished file begins and ends so.
const UNFINISHED: (&str, &str) = ("oam-mesh.", ".tmp");

/// The number of servers that data belongs to: `None` for a single one, which has no cluster.
pub(super) type Nodes = Option<usize>;

/// The version of the layout of the directory.
const FORMAT: u32 = 1;

/// The content of [`MARKER_FILE`]. It is written once, when the data is made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    format: u32,
    /// For people who find the file.
    about: String,
    pub(super) id: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Absent from the data of a single server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
}

/// The names in a cluster, by which the stored streams know their replicas.
#[derive(Debug, Serialize, Deserialize)]
struct Cluster {
    name: String,
    nodes: Vec<String>,
}

/// The part of the file that is the same in all formats.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Marker {
    /// Marks the data in `directory` as that of `nodes` servers.
    pub(super) fn create(directory: &Path, nodes: Nodes) -> Result<Self, LocalError> {
        let name = || format!("oam-{}", new_id());
        let marker = Self {
            format: FORMAT,
            about:
                "data of a mesh, kept by `oam mesh up --data`; deleted by `oam mesh down --purge`"
                    .to_owned(),
            id: new_id(),
            created_at: OffsetDateTime::now_utc(),
            cluster: nodes.map(|nodes| Cluster {
                name: name(),
                nodes: (0..nodes).map(|_| name()).collect(),
            }),
        };
        let path = directory.join(MARKER_FILE);
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(UNFINISHED.0)
                .suffix(UNFINISHED.1)
                .tempfile_in(directory)?;
            file.write_all(&serde_json::to_vec_pretty(&marker)?)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            io::Result::Ok(())
        };
        write().map_err(LocalError::io("write", &path))?;
        Ok(marker)
    }

    /// The marker of `directory`; `None` without one.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, LocalError> {
        let path = directory.join(MARKER_FILE);
        let json = match std::fs::read(&path) {
            Ok(json) => json,
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(failure) => return Err(LocalError::io("read", &path)(failure)),
        };
        let unusable = |reason| LocalError::DataUnusable {
            path: directory.to_owned(),
            reason,
        };
        match serde_json::from_slice::<Format>(&json) {
            Ok(Format { format: FORMAT }) => {}
            Ok(Format { format }) => {
                return Err(unusable(format!(
                    "its data has format {format}, and this version knows format {FORMAT}"
                )));
            }
            Err(error) => return Err(unusable(format!("malformed {MARKER_FILE}: {error}"))),
        }
        serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| unusable(format!("malformed {MARKER_FILE}: {error}")))
    }

    pub(super) fn nodes(&self) -> Nodes {
        Some(self.cluster.as_ref()?.nodes.len())
    }

    pub(super) fn cluster_name(&self) -> Option<&str> {
        Some(&self.cluster.as_ref()?.name)
    }

    pub(super) fn node_name(&self, index: usize) -> Option<&str> {
        let name = self.cluster.as_ref()?.nodes.get(index)?;
        Some(name)
    }
}

/// Whether a file of a data directory is a marker.
pub(super) fn is_own(name: &str) -> bool {
    name == MARKER_FILE || (name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1))
}

/// Removes the marker, and unfinished ones of starts that were killed.
pub(super) fn remove(directory: &Path) -> Result<(), LocalError> {
    let entries = std::fs::read_dir(directory).map_err(LocalError::io("read", directory))?;
    for entry in entries {
        let entry = entry.map_err(LocalError::io("read", directory))?;
        if is_own(&entry.file_name().to_string_lossy()) {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(LocalError::io("remove", &path))?;
        }
    }
    Ok(())
}
