//! The source of the mesh's URL, and the files of a mesh on this machine.

use std::path::PathBuf;

use openagentmesh::{CREDENTIALS_VARIABLE, Endpoint, EndpointSource};
use openagentmesh_local::RunningMesh;
use time::OffsetDateTime;

/// The mesh as this machine knows it.
pub(super) struct Origin {
    source: EndpointSource,
    pub(super) credentials: Option<PathBuf>,
    /// `None` for a mesh that `oam mesh up` does not run on this machine.
    pub(super) local: Option<Local>,
}

/// A mesh of `oam mesh up` on this machine.
pub(super) struct Local {
    pub(super) directory: PathBuf,
    pub(super) since: OffsetDateTime,
    pub(super) pids: Vec<u32>,
    pub(super) logs: Vec<PathBuf>,
    /// The directories of the stored data.
    pub(super) data: Vec<PathBuf>,
    /// Whether the data outlives the mesh.
    pub(super) is_kept: bool,
}

impl Origin {
    pub(super) async fn new(endpoint: Endpoint) -> Self {
        // The state of the mesh is known without its files.
        let meshes = RunningMesh::list().await.unwrap_or_default();
        let running = meshes.iter().find(|mesh| mesh.has_url(&endpoint.url));
        Self {
            source: endpoint.source,
            credentials: endpoint.credentials,
            local: running.map(Local::new),
        }
    }

    /// A stable word for programs.
    pub(super) fn kind(&self) -> &'static str {
        self.source.kind()
    }

    /// The name of the context that names the mesh.
    pub(super) fn context(&self) -> Option<&str> {
        self.source.context()
    }

    /// The file that names the mesh.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match &self.source {
            EndpointSource::File(path) => Some(path),
            _ => None,
        }
    }

    /// The source for people.
    pub(super) fn source(&self) -> String {
        self.source.to_string()
    }

    /// The credentials for people.
    pub(super) fn credentials(&self) -> String {
        match &self.credentials {
            Some(path) if std::env::var_os(CREDENTIALS_VARIABLE).is_some_and(|v| *v == **path) => {
                format!("{}, from {CREDENTIALS_VARIABLE}", path.display())
            }
            Some(path) => path.to_string_lossy().into_owned(),
            None => "none".to_owned(),
        }
    }
}

impl Local {
    fn new(mesh: &RunningMesh) -> Self {
        Self {
            directory: mesh.started_in().to_owned(),
            since: mesh.started_at().into(),
            pids: mesh.pids(),
            logs: mesh.logs().into_iter().map(|log| log.path).collect(),
            data: mesh.stores(),
            is_kept: mesh.data_directory().is_some(),
        }
    }
}
