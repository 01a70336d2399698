//! The shared values.

use openagentmesh::{Error, Kv, KvChange, KvChanges, KvEntry};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::bridge::batch::{BatchItem, Batches};
use crate::bridge::operation;
use crate::errors;
use crate::runtime::{self, Guarded};

/// The shared values of a mesh.
#[pyclass(name = "Kv", module = "openagentmesh._core", frozen)]
pub(crate) struct PyKv(Guarded<Kv>);

impl PyKv {
    pub(crate) fn new(kv: Kv) -> Self {
        Self(Guarded::new(kv))
    }

    fn kv(&self) -> PyResult<&Kv> {
        runtime::get()?;
        Ok(&self.0)
    }
}

#[pymethods]
impl PyKv {
    fn get<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.kv()?.get(key), |py, entry| {
            let entry = entry.map(|entry| (PyBytes::new(py, &entry.value), entry.revision));
            entry.into_pyobject(py)
        })
    }

    fn put<'py>(&self, py: Python<'py>, key: &str, value: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.kv()?.put(key, value), revision)
    }

    fn create<'py>(&self, py: Python<'py>, key: &str, value: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.kv()?.create(key, value), revision)
    }

    #[pyo3(signature = (key, value, revision))]
    fn update<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        value: &[u8],
        revision: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.kv()?.update(key, value, revision), self::revision)
    }

    fn delete<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.kv()?.delete(key), |py, ()| {
            Ok(py.None().into_bound(py))
        })
    }

    #[pyo3(signature = (pattern = ">"))]
    fn keys<'py>(&self, py: Python<'py>, pattern: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.kv()?.keys(pattern), |py, keys| {
            keys.into_pyobject(py)
        })
    }

    #[pyo3(signature = (pattern = ">"))]
    fn list<'py>(&self, py: Python<'py>, pattern: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.kv()?.list(pattern), |py, entries| {
            let entries = entries.into_iter().map(|entry| {
                let KvEntry {
                    key,
                    value,
                    revision,
                    ..
                } = entry;
                (key, PyBytes::new(py, &value), revision)
            });
            Ok(PyList::new(py, entries.collect::<Vec<_>>())?.into_any())
        })
    }

    #[pyo3(signature = (pattern = ">", updates_only = false))]
    fn watch<'py>(
        &self,
        py: Python<'py>,
        pattern: &str,
        updates_only: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut watch = self.kv()?.watch(pattern);
        if updates_only {
            watch = watch.updates_only();
        }
        operation::start(py, watch, |py, changes| {
            Ok(Bound::new(py, PyKvChanges(Batches::new(changes)))?.into_any())
        })
    }
}

fn revision(py: Python<'_>, revision: u64) -> PyResult<Bound<'_, PyAny>> {
    Ok(revision.into_pyobject(py)?.into_any())
}

/// The changes of a watch.
#[pyclass(name = "KvChanges", module = "openagentmesh._core", frozen)]
pub(crate) struct PyKvChanges(Batches<KvChanges>);

#[pymethods]
impl PyKvChanges {
    #[pyo3(signature = (max = 256))]
    fn next_batch<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Bound<'py, PyAny>> {
        self.0.next(py, max)
    }

    fn close(&self) {
        self.0.close();
    }
}

impl BatchItem for Result<KvChange, Error> {
    fn into_object<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (key, value, revision) = match self {
            Ok(KvChange::Put(entry)) => (entry.key, Some(entry.value), entry.revision),
            Ok(KvChange::Deleted { key, revision }) => (key, None, revision),
            // A kind of change that this version does not know.
            Ok(other) => (other.key().to_owned(), None, 0),
            Err(error) => {
                return Ok(errors::exception(py, &error)
                    .into_value(py)
                    .into_bound(py)
                    .into_any());
            }
        };
        let value = value.map(|value| PyBytes::new(py, &value));
        Ok((key, value, revision).into_pyobject(py)?.into_any())
    }

    fn is_raised(&self) -> bool {
        false
    }
}
