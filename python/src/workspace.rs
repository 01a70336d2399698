//! The shared files.

use bytes::Bytes;
use openagentmesh::{ObjectInfo, Workspace};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::bridge::operation;
use crate::objects::to_json;
use crate::runtime::{self, Guarded};

/// The shared files of a mesh.
#[pyclass(name = "Workspace", module = "openagentmesh._core", frozen)]
pub(crate) struct PyWorkspace(Guarded<Workspace>);

impl PyWorkspace {
    pub(crate) fn new(workspace: Workspace) -> Self {
        Self(Guarded::new(workspace))
    }

    fn workspace(&self) -> PyResult<&Workspace> {
        runtime::get()?;
        Ok(&self.0)
    }
}

#[pymethods]
impl PyWorkspace {
    #[pyo3(signature = (name, content, content_type = None, description = None))]
    fn put<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        content: &[u8],
        content_type: Option<String>,
        description: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut upload = self.workspace()?.put(name, content.to_vec());
        if let Some(content_type) = content_type {
            upload = upload.content_type(content_type);
        }
        if let Some(description) = description {
            upload = upload.description(description);
        }
        operation::start(py, upload, |py, info| to_json(py, &info_json(&info)))
    }

    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let download = self.workspace()?.get(name).pieces();
        operation::start(py, download, |py, pieces| {
            let size = pieces.iter().map(Bytes::len).sum();
            let content = PyBytes::new_with(py, size, |mut rest| {
                for piece in &pieces {
                    let (space, next) = rest.split_at_mut(piece.len());
                    space.copy_from_slice(piece);
                    rest = next;
                }
                Ok(())
            });
            Ok(content?.into_any())
        })
    }

    #[pyo3(signature = (name, path, content_type = None))]
    fn put_file<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        path: &str,
        content_type: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut upload = self.workspace()?.put_file(name, path);
        if let Some(content_type) = content_type {
            upload = upload.content_type(content_type);
        }
        operation::start(py, upload, |py, info| to_json(py, &info_json(&info)))
    }

    fn get_file<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        path: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let download = self.workspace()?.get(name).to_file(path);
        operation::start(py, download, |py, info| to_json(py, &info_json(&info)))
    }

    fn info<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.workspace()?.info(name), |py, info| match info {
            Some(info) => to_json(py, &info_json(&info)),
            None => Ok(py.None().into_bound(py)),
        })
    }

    #[pyo3(signature = (prefix = ""))]
    fn list<'py>(&self, py: Python<'py>, prefix: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.workspace()?.list(prefix), |py, infos| {
            let infos: Vec<Value> = infos.iter().map(info_json).collect();
            to_json(py, &infos)
        })
    }

    fn delete<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.workspace()?.delete(name), |py, existed| {
            Ok(existed.into_pyobject(py)?.to_owned().into_any())
        })
    }
}

fn info_json(info: &ObjectInfo) -> Value {
    json!({
        "name": info.name,
        "size": info.size,
        "modified": info.modified.format(&Rfc3339).ok(),
        "digest": info.digest,
        "content_type": info.content_type,
        "description": info.description,
        "metadata": info.metadata,
    })
}
